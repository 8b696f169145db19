"""Compare declared homes of models with LiteLLM's own strategies, over several simulated pools.

    python -m benchmarks.pools.compare --seeds 5 --json pools.json

A pool is a card behind a front end, which loads the model that a request names. LiteLLM's own
Router chooses the pool of each request; pools and time are simulated, so an hour takes seconds.
Each model has a home (order 1) and a second home (order 2); the others deploy it in the same two
pools without order, or in all pools. All get the same requests.

In the last part the first pool dies, and comes back without a model.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.progress import track

from benchmarks.pools.arms import ARMS, OUTAGE_ARMS, Arm, router
from benchmarks.pools.cell import Cell, Mix, Seen
from benchmarks.pools.figure import render
from benchmarks.pools.figures import (
    OUTAGE,
    PERIODS,
    WARM_UP,
    Case,
    Figures,
    figures,
    span_s,
)
from benchmarks.pools.simulators import simulated
from benchmarks.pools.tables import outage_table, tables
from ops.errors import OpsError, writing
from ops.machine.litellm import litellm_version
from ops.machine.signals import ended_by_signals
from ops.report.terminal import CONSOLE, say

_SIZES = ((2, 3), (2, 10), (4, 10), (8, 3), (8, 50))
"""Pools and models."""
_QUICK_SIZES = ((2, 3), (4, 10))
_OUTAGE_CASE = Case(pools=4, models=10, mix="steady")
_LEAST_REQUESTS = 60


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Simulate all cells, print the tables, and draw the figure.

    Returns:
        Every figure, as plain data.
    """
    seeds = options.seeds or (1 if options.quick else 3)
    requests = options.requests or (150 if options.quick else 300)
    cases = [
        Case(pools=pools, models=models, mix=mix)
        for pools, models in (_QUICK_SIZES if options.quick else _SIZES)
        for mix in get_args(Mix)
    ]
    rows = [
        *((case, arm, False) for case in cases for arm in ARMS),
        *((_OUTAGE_CASE, arm, True) for arm in OUTAGE_ARMS),
    ]
    cells = [_cell(*row, seed, requests) for row in rows for seed in range(seeds)]
    say(f"{len(cells)} cells of {requests} requests, with LiteLLM {litellm_version()}")
    seen = _seen(cells, console)
    of_row = {row: seen[index * seeds :][:seeds] for index, row in enumerate(rows)}
    by_case = {
        case: {
            arm.name: figures(
                of_row[case, arm, False], WARM_UP * _span_s(case, requests), float("inf")
            )
            for arm in ARMS
        }
        for case in cases
    }
    whole_s = _span_s(_OUTAGE_CASE, requests)
    outage = {
        arm.name: {
            period: figures(of_row[_OUTAGE_CASE, arm, True], start * whole_s, end * whole_s)
            for period, (start, end) in PERIODS.items()
        }
        for arm in OUTAGE_ARMS
    }
    for table in (*tables(by_case), outage_table(outage, _OUTAGE_CASE)):
        console.print(table)
    if options.figure is not None:
        with writing(options.figure):
            options.figure.write_text(render(by_case, _note(seeds, requests)), encoding="utf-8")
    return {
        "date": _today(),
        "litellm": litellm_version(),
        "seeds": seeds,
        "requests": requests,
        "cases": [{**asdict(case), "arms": _plain(by_arm)} for case, by_arm in by_case.items()],
        "outage": {
            **asdict(_OUTAGE_CASE),
            "arms": {name: _plain(by_period) for name, by_period in outage.items()},
        },
    }


def _plain(by_name: Mapping[str, Figures]) -> dict[str, Any]:
    return {name: asdict(each) for name, each in by_name.items()}


def _span_s(case: Case, requests: int) -> float:
    return span_s(pools=case.pools, requests=requests)


def _cell(case: Case, arm: Arm, is_outage: bool, seed: int, requests: int) -> Cell:
    whole_s = _span_s(case, requests)
    return Cell(
        pools=case.pools,
        models=case.models,
        mix=case.mix,
        seed=seed,
        requests=requests,
        outage_s=(OUTAGE[0] * whole_s, OUTAGE[1] * whole_s) if is_outage else None,
        router=router(arm, pools=case.pools, models=case.models),
    )


def _seen(cells: Sequence[Cell], console: Console) -> list[Seen]:
    """Simulate the cells, in their order."""
    seen: dict[int, Seen] = {}
    steps = simulated(cells, say=say)
    for index, of_cell in track(
        steps, "simulating", total=len(cells), console=console, transient=True
    ):
        seen[index] = of_cell
    return [seen[index] for index in range(len(cells))]


def _note(seeds: int, requests: int) -> str:
    return (
        f"Simulated pools, the Router of LiteLLM {litellm_version()}; {seeds} x {requests} "
        f"requests a bar, {_today()}. make bench-pools draws this."
    )


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from {least}")
        return int(text)

    return number


def main() -> int:
    """Print the tables, write the data, and stop all processes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pools.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seeds", type=_at_least(1), metavar="N",
        help="Repeats of each cell, with other requests (default: 3; --quick: 1).",
    )  # fmt: skip
    parser.add_argument(
        "--requests", type=_at_least(_LEAST_REQUESTS), metavar="N",
        help="Requests of a cell; the first third is not counted (default: 300; --quick: 150).",
    )  # fmt: skip
    parser.add_argument(
        "--quick",
        action="store_true",
        help="Simulate two of the five sizes, with fewer requests.",
    )
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="Also draw the steady mix into this SVG."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write every figure here.")
    options = parser.parse_args()
    try:
        for path in filter(None, (options.figure, options.json)):
            with writing(path):
                path.touch()
        with ended_by_signals():
            data = run(options, CONSOLE)
        if options.json is not None:
            with writing(options.json):
                options.json.write_text(f"{json.dumps(data, indent=2)}\n", encoding="utf-8")
    except KeyboardInterrupt:
        print("interrupted; all processes are stopped", file=sys.stderr)
        return 130
    except OpsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
