"""What is counted of the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.pools.cell import Mix, Seen
from benchmarks.pools.traffic import REQUEST_S_PER_POOL
from benchmarks.swap.tables import p95

WARM_UP = 1 / 3
"""Share of the time that is not counted, because the cards are empty at first."""
OUTAGE = (0.5, 0.65)
"""Between these shares of the time a pool is down."""
PERIODS = {"before": (0.35, 0.5), "during": OUTAGE, "after": (0.65, 0.8)}
"""Three equal shares of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of a period, of the cells of all seeds."""

    requests: int
    loads_per_1000: float
    """Loads that started in the period, for 1000 requests sent in it."""
    p95_s: float
    """Of the answered requests; 0: none was answered."""
    failed: int
    """Requests without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Pools, models and mix of a row."""

    pools: int
    models: int
    mix: Mix

    def __str__(self) -> str:
        return f"{self.pools} pools, {self.models} models, {self.mix}"


ByCase = Mapping[Case, Mapping[str, Figures]]
"""Case -> arm -> its figures."""


def span_s(*, pools: int, requests: int) -> float:
    """Return the seconds in which so many requests are sent, on average."""
    return requests * REQUEST_S_PER_POOL / pools


def figures(cells: Sequence[Seen], start_s: float, end_s: float) -> Figures:
    """Count what happened between two times."""
    asked = [asked for seen in cells for asked in seen.asked if start_s <= asked.at_s < end_s]
    loads = [load for seen in cells for load in seen.loads if start_s <= load.at_s < end_s]
    waits_s = [each.wait_s for each in asked if not each.error]
    return Figures(
        requests=len(asked),
        loads_per_1000=1000 * len(loads) / max(1, len(asked)),
        p95_s=p95(waits_s) if waits_s else 0.0,
        failed=len(asked) - len(waits_s),
    )
