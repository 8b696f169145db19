"""Compare the budget's prediction of VRAM with llama-server itself and gguf-parser-go.

    python -m benchmarks.vram.compare --json vram.json

The files have the shapes of Qwen3, Qwen3-VL (4B and 8B) and MiniCPM-V 4.5, but no data.
llama-server computes what it will reserve before it loads weights, and is then stopped; a
ggml-rpc-server poses as the card. None of the three sees what CUDA itself takes (its context,
cuBLAS).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.vram.cases import Case, cases
from benchmarks.vram.engine import Reserved, reserved
from benchmarks.vram.peer import VERSION, estimated, gguf_parser
from benchmarks.vram.predict import predicted
from ops.errors import OpsError
from ops.machine.llama_build import BUILD
from ops.machine.llama_server import rpc_programs

_TERMS = (*(field.name for field in fields(Reserved)), "total_mib")
_PEER = f"gguf-parser-go {VERSION}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One llama-server, with three estimates."""

    case: Case
    engine: Reserved
    ours: Reserved
    peer: Reserved | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Errors of one term, in % of llama-server's value."""

    ours: list[float]
    peer: list[float]


Summary = dict[str, Errors]


def measure(programs: Path, engine_build: int, peer: Path | None) -> list[Row]:
    """Collect the three estimates of each case; two if `peer` is None."""
    rows = []
    for case in track(cases(), "measuring", transient=True):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            case.write(folder)
            row = Row(
                case=case,
                engine=reserved(programs, case.model, folder, stage="promised"),
                ours=predicted(case.model, folder, engine_build),
                peer=None if peer is None else estimated(peer, case.model, folder),
            )
        rows.append(row)
    return rows


def totals_table(rows: Sequence[Row], engine_build: int) -> Table:
    """Return one row per llama-server, with the total of all terms."""
    table = Table(title=f"MiB of the card, llama.cpp {engine_build}", title_justify="left")
    for column in ("model", "settings"):
        table.add_column(column)
    for column in ("llama-server", "predicted", "error", _PEER, "error"):
        table.add_column(column, justify="right")
    for row in rows:
        cells = [row.case.name, row.case.settings, f"{row.engine.total_mib:.1f}"]
        for guess in (row.ours, row.peer):
            if guess is None:
                cells += ["-", "-"]
            else:
                error = _error(guess, row.engine, "total_mib")
                cells += [f"{guess.total_mib:.1f}", f"{error:+.2f} %"]
        table.add_row(*cells)
    return table


def terms_table(summary: Summary) -> Table:
    """Return one row per term: median and worst error over the llama-servers that have it."""
    table = Table(title="Errors in % of llama-server's value", title_justify="left")
    table.add_column("term")
    for column in ("cases", "predicted: median", "worst", f"{_PEER}: median", "worst"):
        table.add_column(column, justify="right")
    for term, errors in summary.items():
        ours, peer = (_median_and_worst(errors_of) for errors_of in (errors.ours, errors.peer))
        style = "bold" if term == "total_mib" else ""
        table.add_row(_words(term), str(len(errors.ours)), *ours, *peer, style=style)
    return table


def summarised(rows: Sequence[Row]) -> Summary:
    """Collect the errors of each term."""
    summary = {}
    for term in _TERMS:
        having = [row for row in rows if getattr(row.engine, term) > 0]
        summary[term] = Errors(
            ours=[_error(row.ours, row.engine, term) for row in having],
            peer=[_error(row.peer, row.engine, term) for row in having if row.peer],
        )
    return summary


def _error(guess: Reserved, engine: Reserved, term: str) -> float:
    """Return the error in %; differences within llama-server's rounding to 0.01 MiB are 0."""
    measured: float = getattr(engine, term)
    difference: float = getattr(guess, term) - measured
    return 0.0 if abs(difference) < 0.0051 else 100 * difference / measured


def _median_and_worst(errors: Sequence[float]) -> tuple[str, str]:
    if not errors:
        return "-", "-"
    return f"{statistics.median(map(abs, errors)):.2f}", f"{max(errors, key=abs):+.2f}"


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
        "--programs", type=Path, metavar="DIR",
        help="Directory with another llama-server and ggml-rpc-server (default: our build).",
    )  # fmt: skip
    parser.add_argument(
        "--engine-build", type=int, default=BUILD, metavar="N",
        help="llama.cpp build of --programs (default: %(default)s).",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables, and write the figures."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 140)
    say = Console(stderr=True).print
    try:
        programs = options.programs or rpc_programs(say)
        try:
            peer = gguf_parser(say)
        except OpsError as error:
            peer = None
            console.print(f"skipped {_PEER}: {error}", highlight=False)
        rows = measure(programs, options.engine_build, peer)
    except OpsError as error:
        sys.exit(f"benchmarks.vram.compare: {error}")
    summary = summarised(rows)
    console.print(totals_table(rows, options.engine_build))
    console.print()
    console.print(terms_table(summary))
    if options.json is not None:
        data = {
            "engine_build": options.engine_build,
            "peer": _PEER,
            "errors_percent": {term: asdict(errors) for term, errors in summary.items()},
            "rows": [
                {"model": row.case.name, "settings": row.case.settings}
                | {
                    name: asdict(sizes)
                    for name, sizes in (
                        ("engine_mib", row.engine), ("predicted_mib", row.ours),
                        ("peer_mib", row.peer),
                    )
                    if sizes is not None
                }
                for row in rows
            ],
        }  # fmt: skip
        options.json.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
