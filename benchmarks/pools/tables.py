"""The figures as tables on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rich.table import Table

from benchmarks.pools.arms import DECLARED
from benchmarks.pools.figures import ByCase, Case, Figures
from ops.report.terminal import titled_table


def tables(by_case: ByCase) -> Iterator[Table]:
    """Yield a table of loads and one of waits, and one of failures if there were any."""
    yield _table("Loads for 1,000 requests", by_case, lambda each: each.loads_per_1000, "{:.0f}")
    yield _table("p95 wait, s", by_case, lambda each: each.p95_s, "{:.1f}")
    if any(each.failed for by_arm in by_case.values() for each in by_arm.values()):
        yield _table("Requests without an answer", by_case, lambda each: each.failed, "{:g}")


def _table(title: str, by_case: ByCase, value_of: Callable[[Figures], float], form: str) -> Table:
    arms = tuple(next(iter(by_case.values())))
    table = titled_table(
        f"{title} (x: against {DECLARED.name})", "pools", "models", "mix", *arms,
        right=("pools", "models", *arms),
    )  # fmt: skip
    for case, by_arm in by_case.items():
        declared = value_of(by_arm[DECLARED.name])
        values = (against(value_of(each), declared, form) for each in by_arm.values())
        table.add_row(str(case.pools), str(case.models), case.mix, *values)
    return table


def against(value: float, reference: float, form: str) -> str:
    """Write a value, and its ratio to another one that is not 0."""
    ratio = f" {value / reference:.2f}x" if reference else ""
    return f"{form.format(value)}{ratio}"


def outage_table(by_arm: Mapping[str, Mapping[str, Figures]], case: Case) -> Table:
    """Return one row per arm: failures, and the periods before, during and after an outage."""
    periods = tuple(next(iter(by_arm.values())))
    loads, waits = ([f"{what} {name}" for name in periods] for what in ("loads", "p95"))
    columns = ("failed", "of", *loads, *waits)
    table = titled_table(
        f"A pool dies and comes back ({case}): failed requests, loads for 1,000, p95 in s",
        "arm", *columns, right=columns,
    )  # fmt: skip
    for name, by_period in by_arm.items():
        of_arm = by_period.values()
        table.add_row(
            name,
            str(sum(each.failed for each in of_arm)),
            str(sum(each.requests for each in of_arm)),
            *(f"{each.loads_per_1000:.0f}" for each in of_arm),
            *(f"{each.p95_s:.1f}" for each in of_arm),
        )
    return table
