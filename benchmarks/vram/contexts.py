"""Compare what the lock says of random contexts with what llama-server reserves for them.

    python -m benchmarks.vram.contexts --contexts 1000

An operator edits a context without an engine: the figure must never be too low. Each shape is
measured as `ops lock` does, and then asked for contexts that it was not asked for.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.vram.cases import vision_case
from benchmarks.vram.locked import Lock
from benchmarks.vram.shapes.published import PUBLISHED
from in_pod.download.contract import LINK_NAMES
from llama_swap_config.fit.figures import least_context
from ops.engine.promised import promised
from ops.errors import OpsError
from ops.machine.llama_build import BUILD, built

_ROUNDING_MIB = 0.02
"""Two terms of the log, each rounded to 0.01 MiB."""


def main() -> None:
    """Ask, and print the largest differences of each shape; exit code 1: one is too low."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        programs = built(Console(stderr=True).print, options.engine_build)
    except OpsError as error:
        sys.exit(f"benchmarks.vram.contexts: {error}")
    draw = random.Random(options.seed)
    table = Table(title=f"MiB said less MiB reserved, llama.cpp {options.engine_build}")
    for column in ("model", "contexts", "lowest", "highest", "highest, %"):
        table.add_column(column, justify="left" if column == "model" else "right")
    lowest = 0.0
    lock = Lock(programs, options.engine_build)
    for published in track(PUBLISHED, "asking", transient=True, console=console):
        with tempfile.TemporaryDirectory() as name:
            folder, case = Path(name), vision_case(published, context=3072)
            case.write(folder)
            differences = []
            for _ in range(options.contexts // len(PUBLISHED)):
                context = draw.randrange(least_context(case.model), published.context + 1)
                model = replace(case.model, context=context)
                said = lock.vram(model, folder)
                (found,) = promised(programs, model, folder, LINK_NAMES["model"], whole=False)
                reserved = found.kv_cache + found.compute
                difference = said.kv_cache + said.compute - reserved
                differences.append((difference, 100 * difference / reserved))
        table.add_row(
            published.name,
            str(len(differences)),
            f"{min(differences)[0]:+.2f}",
            f"{max(differences)[0]:+.2f}",
            f"{max(share for _, share in differences):+.2f}",
        )
        lowest = min(lowest, *(mib for mib, _ in differences))
    console.print(table)
    if lowest < -_ROUNDING_MIB:
        sys.exit(f"benchmarks.vram.contexts: a figure is {-lowest:.2f} MiB too low")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vram.contexts",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument(
        "--contexts", type=int, default=1000, metavar="N",
        help="How many contexts, over all shapes (default: %(default)s).",
    )  # fmt: skip
    parser.add_argument(
        "--engine-build", type=int, default=BUILD, metavar="N",
        help="Build of llama.cpp (default: %(default)s).",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="Of the contexts (default: %(default)s)."
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
