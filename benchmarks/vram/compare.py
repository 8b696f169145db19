"""Compare estimates of VRAM with what llama-server itself reserves.

    python -m benchmarks.vram.compare --json vram.json

The files have the shapes of published vision models, but no data. llama-server computes what it
will reserve before it loads weights, and is then stopped; a ggml-rpc-server poses as the card.
Estimates are what the lock says after the engine was asked at 3072 tokens, the budget's formula,
where it is proven, and gguf-parser-go. None of them sees what CUDA itself takes (its context,
cuBLAS).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.vram.cases import Case, cases
from benchmarks.vram.engine import Reserved, reserved
from benchmarks.vram.locked import Lock
from benchmarks.vram.peer import VERSION, estimated, gguf_parser
from benchmarks.vram.predict import predicted
from ops.errors import OpsError
from ops.machine.llama_build import BUILD, built

_TERMS = (*(field.name for field in fields(Reserved)), "total_mib")
_PEER = f"gguf-parser-go {VERSION}"
Estimate = Callable[[Case, Path], Reserved | None]
"""Takes a case and the directory of its files; None where it has no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One llama-server with the estimates, by name."""

    case: Case
    engine: Reserved
    estimates: Mapping[str, Reserved | None]


Errors = dict[str, list[float]]
"""Errors of one term in % of llama-server's value, by the estimate's name."""


def estimates_of(programs: Path, engine_build: int, peer: Path | None) -> dict[str, Estimate]:
    """Return the estimates to compare, by their names in the tables; `peer` may be missing."""
    estimates: dict[str, Estimate] = {
        "lock": Lock(programs, engine_build).says,
        "formula": lambda case, folder: (
            predicted(case.model, folder, engine_build) if case.has_formula else None
        ),
    }
    if peer is not None:
        estimates[_PEER] = lambda case, folder: estimated(peer, case, folder)
    return estimates


def measure(programs: Path, estimates: Mapping[str, Estimate]) -> list[Row]:
    """Ask llama-server and collect the estimates of each case."""
    rows = []
    for case in track(cases(), "measuring", transient=True):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            case.write(folder)
            row = Row(
                case=case,
                engine=reserved(programs, case.model, folder, stage="promised"),
                estimates={name: ask(case, folder) for name, ask in estimates.items()},
            )
        rows.append(row)
    return rows


def totals_table(rows: Sequence[Row], engine_build: int) -> Table:
    """Return one row per llama-server, with the total of all terms."""
    table = Table(title=f"MiB of the card, llama.cpp {engine_build}", title_justify="left")
    for column in ("model", "settings"):
        table.add_column(column)
    table.add_column("llama-server", justify="right")
    for name in rows[0].estimates:
        table.add_column(name, justify="right")
        table.add_column("error", justify="right")
    for row in rows:
        cells = [row.case.model.id, row.case.settings, f"{row.engine.total_mib:.1f}"]
        for guess in row.estimates.values():
            if guess is None:
                cells += ["-", "-"]
            else:
                error = _error(guess, row.engine, "total_mib")
                cells += [f"{guess.total_mib:.1f}", f"{error:+.2f} %"]
        table.add_row(*cells)
    return table


def terms_table(summary: Mapping[str, Errors]) -> Table:
    """Return one row per term: median and worst error over the llama-servers that have it."""
    table = Table(title="Errors in % of llama-server's value", title_justify="left")
    table.add_column("term")
    for name in summary["total_mib"]:
        for column in ("cases", f"{name}: median", "worst"):
            table.add_column(column, justify="right")
    for term, errors in summary.items():
        cells = [cell for values in errors.values() for cell in _count_median_and_worst(values)]
        style = "bold" if term == "total_mib" else ""
        table.add_row(_words(term), *cells, style=style)
    return table


def summarised(rows: Sequence[Row]) -> dict[str, Errors]:
    """Collect the errors of each term."""
    return {
        term: {
            name: [
                _error(guess, row.engine, term)
                for row in rows
                if getattr(row.engine, term) > 0 and (guess := row.estimates[name]) is not None
            ]
            for name in rows[0].estimates
        }
        for term in _TERMS
    }


def _error(guess: Reserved, engine: Reserved, term: str) -> float:
    """Return the error in %; differences within llama-server's rounding to 0.01 MiB are 0."""
    measured: float = getattr(engine, term)
    difference: float = getattr(guess, term) - measured
    return 0.0 if abs(difference) < 0.0051 else 100 * difference / measured


def _count_median_and_worst(errors: Sequence[float]) -> tuple[str, str, str]:
    if not errors:
        return "0", "-", "-"
    median = statistics.median(map(abs, errors))
    return str(len(errors)), f"{median:.2f}", f"{max(errors, key=abs):+.2f}"


def _words(term: str) -> str:
    return term.removesuffix("_mib").replace("_", " ")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vram.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="Write every figure to this file."
    )
    parser.add_argument(
        "--engine-build", type=int, default=BUILD, metavar="N",
        help="Build of llama.cpp, compiled if it is missing (default: %(default)s).",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables, and write the figures."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 160)
    say = Console(stderr=True).print
    try:
        programs = built(say, options.engine_build)
        try:
            peer = gguf_parser(say)
        except OpsError as error:
            peer = None
            console.print(f"skipped {_PEER}: {error}", highlight=False)
        rows = measure(programs, estimates_of(programs, options.engine_build, peer))
    except (OpsError, OSError) as error:
        sys.exit(f"benchmarks.vram.compare: {error}")
    summary = summarised(rows)
    console.print(totals_table(rows, options.engine_build))
    console.print()
    console.print(terms_table(summary))
    if options.json is not None:
        data = {
            "engine_build": options.engine_build,
            "errors_percent": summary,
            "rows": [
                {
                    "model": row.case.model.id,
                    "settings": row.case.settings,
                    "engine_mib": asdict(row.engine),
                    "estimates_mib": {
                        name: None if guess is None else asdict(guess)
                        for name, guess in row.estimates.items()
                    },
                }
                for row in rows
            ],
        }
        options.json.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
