"""Measure swaps: llama-swap and llama-server's router against killing and starting.

    python -m benchmarks.swap.compare -n 20 --json swap.json

All arms run at once and swap in turn between two tiny vision models, so noise hits all alike. The
limit kills a llama-server, starts another with the same arguments, and asks it as soon as it is
healthy. Then come the scenarios in which something delays a swap.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.swap import scenarios as swap_scenarios
from benchmarks.swap import tables as swap_tables
from benchmarks.swap import unload as swap_unload
from benchmarks.swap.arms import LACKING, Arm, front_end, limit
from benchmarks.swap.ask import RefusedError
from benchmarks.swap.figure import render
from benchmarks.swap.scenarios import Step
from benchmarks.swap.tiny_store import make_store
from benchmarks.swap.watch import resolution_ms
from ops.commands.serve.run import available
from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.machine.llama_server import llama_server
from ops.machine.signals import ended_by_signals

_SCENARIOS = ("late", "busy", "disconnect", "unload")
_FIGURE = ROOT / "docs" / "figures" / "swap.svg"


def run(options: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    """Measure in an empty folder, and print each table as soon as its figures are there.

    Returns:
        Every figure, as plain data.
    """
    data: dict[str, Any] = {"machine": _machine(), "options": _plain(options)}
    store = make_store(folder / "models")
    repeats, wanted = options.repeats, options.scenarios
    with ExitStack() as stack:
        fronts = [
            stack.enter_context(front_end(name, store, folder / name)) for name in available()
        ]
        arms: list[Arm] = [*fronts, stack.enter_context(limit(store))]
        with _steps(console, "swaps", len(arms) * options.n) as step:
            swaps = swap_scenarios.interleaved(arms, options.n, step)
        console.print(swap_tables.parts_table("Swaps of idle models, in turn", swaps))
        for name, of_arm in swaps.items():
            looks = "{:.1f} ms apart, 95 % of them at most {:.1f}".format(*resolution_ms(of_arm))
            console.print(f"{name}: the parts are polled {looks}", highlight=False)
        console.print()
        data["swaps"] = swap_tables.summary(swaps)
        data["ratio_to_limit"] = swap_tables.ratios(swaps)
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(render(swaps, _note(data, options.n)), encoding="utf-8")
        if "disconnect" in wanted:
            with _steps(console, "client left", len(fronts) * repeats) as step:
                left = swap_scenarios.after_disconnect(fronts, repeats, step)
            title = "Swap after the client left in the middle of its stream"
            console.print(swap_tables.parts_table(title, left))
            console.print()
            data["disconnect"] = swap_tables.summary(left)
        if "busy" in wanted:
            with _steps(console, "busy clients", len(fronts) * repeats) as step:
                busy = swap_scenarios.busy(fronts, repeats, options.limit_s, step)
            console.print(swap_tables.busy_table(busy, options.limit_s))
            console.print()
            data["busy"] = {
                name: [asdict(swap) for swap in swaps_of_arm]
                for name, swaps_of_arm in busy.items()
            }
    if "late" in wanted:
        count = (len(available()) + 1) * len(options.delays) * repeats
        with _steps(console, "late starts", count) as step:
            late = swap_scenarios.late_starts(
                store, folder / "late", options.delays, repeats, step
            )
        console.print(swap_tables.late_table(late))
        console.print()
        data["late"] = {
            f"{delay_s:g}": swap_tables.summary(by_arm) for delay_s, by_arm in late.items()
        }
    if "unload" in wanted:
        with _steps(console, "unloads", 2 * len(available()) * repeats) as step:
            unloads = swap_unload.unloads(store, folder / "unload", repeats, step)
        console.print(swap_tables.unload_table(unloads))
        console.print()
        data["unload"] = {name: asdict(times) for name, times in unloads.items()}
    data["machine"]["load_average_after"] = os.getloadavg()[0]
    return data


@contextlib.contextmanager
def _steps(console: Console, name: str, total: int) -> Iterator[Step]:
    """Draw a bar while the context lasts."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=total, what="")
        yield lambda what: bar.update(task, advance=1, what=what)


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
    }


def _note(data: dict[str, Any], count: int) -> str:
    machine = data["machine"]
    return (
        f"{count} swaps of each, in turn; {machine['date']}, {machine['cores']} cores, load "
        f"{machine['load_average_before']:.1f} before the run. make bench-swap draws this."
    )


def _plain(options: argparse.Namespace) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
    }


def _at_least_one(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.swap.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-n", type=_at_least_one, default=20, help="Swaps per arm (default: %(default)s)."
    )
    parser.add_argument(
        "--scenarios", nargs="*", choices=_SCENARIOS, default=_SCENARIOS, metavar="NAME",
        help=f"Run these of {', '.join(_SCENARIOS)}; no NAME: none (default: all).",
    )  # fmt: skip
    parser.add_argument(
        "--repeats",
        type=_at_least_one,
        default=4,
        help="Repeats of each scenario (default: %(default)s).",
    )
    parser.add_argument(
        "--load-delay", dest="delays", type=float, nargs="+", metavar="S",
        default=(0, 0.1, 0.3, 0.6, 0.9),
        help="Seconds by which a start is late (default: 0 0.1 0.3 0.6 0.9).",
    )  # fmt: skip
    parser.add_argument(
        "--limit-s", type=float, default=30, metavar="S",
        help="Seconds to wait for a swap away from busy clients (default: %(default)s).",
    )  # fmt: skip
    parser.add_argument(
        "--out",
        type=Path,
        default=_FIGURE,
        help="Write the SVG to this file (default: docs/figures/swap.svg).",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="Also write every figure to this file."
    )
    parser.add_argument(
        "--folder", type=Path, help="Work in this directory (default: a temporary one)."
    )
    return parser.parse_args()


def main() -> int:
    """Print the tables, write figure and data, and stop all processes."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    if "llama-swap" not in available():
        console.print(f"skipped llama-swap: {LACKING}")
    try:
        with ended_by_signals(), tempfile.TemporaryDirectory(dir=options.folder) as folder:
            llama_server(lambda line: console.print(line, highlight=False))
            data = run(options, console, Path(folder))
    except KeyboardInterrupt:
        print("interrupted; all processes are stopped", file=sys.stderr)
        return 130
    except (OpsError, RefusedError, OSError, http.client.HTTPException, RuntimeError) as error:
        print(f"error: {error or type(error).__name__}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    console.print(f"the figure: {options.out}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
