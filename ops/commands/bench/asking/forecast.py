"""How much fits into the time that is left, equally for all models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_USABLE = 0.95
"""Of the time that is left: single answers take longer than the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One model's speed so far, and what it has done."""

    load_s: float
    """What a load takes; 0: it is loaded, or never needed again."""
    unit_s: float
    """Mean of its warm answers, for one unit of the schedule."""
    done: int
    """Units that are answered, from the schedule's beginning."""


def units_that_fit(paces: Sequence[Pace], remaining_s: float, *, most: int) -> int:
    """Find the largest number of units that every model can answer in time.

    Args:
        paces: Of every model of the run.
        remaining_s: Seconds until the window closes.
        most: Units of the whole schedule.

    Returns:
        The number from the schedule's beginning; at least what all have done already.
    """
    low, high = min((pace.done for pace in paces), default=0), most
    while low < high:
        middle = (low + high + 1) // 2
        if needed_s(paces, middle) <= remaining_s * _USABLE:
            low = middle
        else:
            high = middle - 1
    return low


def needed_s(paces: Sequence[Pace], units: int) -> float:
    """Add up the loads and answers until every model has done that many units."""
    todo = [(pace, units - pace.done) for pace in paces if units > pace.done]
    return sum(pace.load_s + count * pace.unit_s for pace, count in todo)
