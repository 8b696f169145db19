"""The measurements as tables on a terminal and as plain data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from benchmarks.swap.arms import LIMIT, NAMES
from benchmarks.swap.scenarios import Busy
from benchmarks.swap.unload import SETTINGS, Unloads
from benchmarks.swap.watch import PARTS, Swap
from llama_swap_config.front_ends.front_end import FrontEndName

TOTAL = "request to first token"


def p50(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p95(values: Iterable[float]) -> float:
    """Return the smallest value that 95 % of them do not exceed: of 20, the second largest."""
    ranked = sorted(values)
    return ranked[math.ceil(0.95 * len(ranked)) - 1]


def totals(swaps: Iterable[Swap]) -> list[float]:
    """Return the times from request to first token, in seconds."""
    return [swap.total_s for swap in swaps]


def part(swaps: Iterable[Swap], name: str) -> list[float]:
    """Return the times of one part, in seconds."""
    return [swap.parts_s[name] for swap in swaps]


def ratios(swaps_by_arm: Mapping[str, Sequence[Swap]]) -> dict[str, float]:
    """Return each front end's median total relative to the limit's."""
    limit_s = p50(totals(swaps_by_arm[LIMIT]))
    return {
        name: p50(totals(swaps)) / limit_s for name, swaps in swaps_by_arm.items() if name != LIMIT
    }


def parts_table(title: str, swaps_by_arm: Mapping[str, Sequence[Swap]]) -> Table:
    """Return one row per part, one column per arm: p50 and p95 in milliseconds."""
    table = Table(title=title, title_justify="left")
    table.add_column("until, ms")
    for name, swaps in swaps_by_arm.items():
        table.add_column(f"{name}\np50 / p95 of {len(swaps)}", justify="right")
    for name in PARTS:
        table.add_row(name, *(_pair(part(swaps, name)) for swaps in swaps_by_arm.values()))
    table.add_section()
    table.add_row(TOTAL, *(_pair(totals(swaps)) for swaps in swaps_by_arm.values()), style="bold")
    if LIMIT in swaps_by_arm:
        by_arm = ratios(swaps_by_arm)
        row = (f"{by_arm[name]:.2f}x" if name in by_arm else "1.00x" for name in swaps_by_arm)
        table.add_row("p50 against the limit", *row)
    return table


def late_table(by_delay: Mapping[float, Mapping[str, Sequence[Swap]]]) -> Table:
    """Return one row per delay, one column per arm: the median total in seconds."""
    names = list(next(iter(by_delay.values())))
    table = Table(
        title="llama-server starts late: request to first token, s", title_justify="left"
    )
    table.add_column("late by, s", justify="right")
    for name in names:
        table.add_column(f"{name}\np50 / p95", justify="right")
    for name in names:
        if name != LIMIT:
            table.add_column(f"{name}\nlost to the limit", justify="right")
    for delay_s, arms in by_delay.items():
        limit_s = p50(totals(arms[LIMIT]))
        table.add_row(
            f"{delay_s:g}",
            *(f"{p50(totals(arms[name])):.2f} / {p95(totals(arms[name])):.2f}" for name in names),
            *(f"{p50(totals(arms[name])) - limit_s:.2f}" for name in names if name != LIMIT),
        )
    return table


def busy_table(swaps_by_arm: Mapping[str, Sequence[Busy]], limit_s: float) -> Table:
    """Return one row per front end: the time to the other model's first token."""
    table = Table(title="4 clients ask the loaded model in a closed loop", title_justify="left")
    table.add_column("front end")
    table.add_column("other model's first token, s", justify="right")
    table.add_column("clients' answers meanwhile", justify="right")
    table.add_column("clients' errors", justify="right")
    for name, rounds in swaps_by_arm.items():
        came = (
            f"not in {limit_s:g}" if swap.came_s is None else f"{swap.came_s:.2f}"
            for swap in rounds
        )
        table.add_row(
            name,
            ", ".join(came),
            ", ".join(str(swap.answered) for swap in rounds),
            ", ".join(str(swap.failed) for swap in rounds),
        )
    return table


def unload_table(by_front_end: Mapping[FrontEndName, Unloads]) -> Table:
    """Return one row per front end: seconds until the process is gone, with and without."""
    table = Table(title="Unload in the middle of a stream: until gone, s", title_justify="left")
    table.add_column("front end")
    table.add_column("setting")
    for what in ("with it", "without", "without / with, p50", "worst"):
        table.add_column(what, justify="right")
    for name, times in by_front_end.items():
        medians = p50(times.plain_s) / p50(times.ours_s)
        worst = max(times.plain_s) / max(times.ours_s)
        table.add_row(
            NAMES[name],
            SETTINGS[name],
            ", ".join(f"{seconds:.2f}" for seconds in times.ours_s),
            ", ".join(f"{seconds:.2f}" for seconds in times.plain_s),
            f"{medians:.1f}x",
            f"{worst:.1f}x",
        )
    return table


def summary(swaps_by_arm: Mapping[str, Sequence[Swap]]) -> dict[str, object]:
    """Return the figures of `parts_table` in seconds, with every single value."""
    return {
        name: {
            TOTAL: _figures(totals(swaps)),
            **{name_of_part: _figures(part(swaps, name_of_part)) for name_of_part in PARTS},
        }
        for name, swaps in swaps_by_arm.items()
    }


def _figures(values: list[float]) -> dict[str, object]:
    return {"p50_s": p50(values), "p95_s": p95(values), "each_s": values}


def _pair(values_s: Sequence[float]) -> str:
    return f"{1000 * p50(values_s):.0f} / {1000 * p95(values_s):.0f}"
