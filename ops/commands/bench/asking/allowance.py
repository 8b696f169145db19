"""The time that a session has, and how many questions fit into it, equally for all models."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.commands.bench.asking.asked_model import AskedModel
from ops.commands.bench.asking.plan import Plan
from ops.commands.bench.asking.progress import Shown

CALIBRATION = 5
"""Photos of each model that a forecast rests on."""
_USABLE = 0.95
"""Of the time that is left: single answers take longer than the mean."""
_UNIT_WORDS = {"pairwise": "pairs", "anchored": "blocks of photos"}


class TimeUpError(Exception):
    """The window closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One model's speed so far, and what it has done."""

    load_s: float
    """What a load takes; 0: it is loaded, or never needed again."""
    unit_s: float
    """Mean of its warm answers, for one unit of the schedule."""
    done: int
    """Units that are answered, from the schedule's beginning."""


class Allowance:
    """Until when a session may ask, and how much of the schedule it still means to ask."""

    def __init__(self, plan: Plan, shown: Shown, clock: Callable[[], float]) -> None:
        """Mean to ask all of it."""
        self._plan = plan
        self._shown = shown
        self._clock = clock
        self._forecast_said = False
        self.units = len(plan.units)
        """From the schedule's beginning, of every model; only ever fewer."""

    @property
    def is_limited(self) -> bool:
        """Whether there is an end at all."""
        return self._plan.deadline is not None

    @property
    def left_s(self) -> float:
        """Seconds; infinite without an end."""
        deadline = self._plan.deadline
        return math.inf if deadline is None else deadline - self._clock()

    @property
    def calibration(self) -> int:
        """How many units hold the photos that a forecast rests on."""
        questions = 0
        for number, unit in enumerate(self._plan.units, start=1):
            questions += len(unit)
            if questions >= CALIBRATION:
                return number
        return len(self._plan.units)

    def check(self, model: AskedModel, *, load_s: float = 0.0) -> None:
        """Refuse to begin what would not be over in time.

        Raises:
            TimeUpError: when a load and an answer take longer than what is left.
        """
        answer_s = statistics.fmean(model.warm_s) if model.warm_s else 0.0
        if load_s + answer_s > self.left_s:
            raise TimeUpError

    def fit(self, model: AskedModel, others: Sequence[AskedModel]) -> None:
        """Mean to ask all models about fewer photos, when the time that is left asks for it.

        Args:
            model: The one that is loaded.
            others: All that are asked in this session.
        """
        known = all(asked.warm_s for asked in others)
        if not self.is_limited or not known or len(model.warm_s) < CALIBRATION:
            return
        paces = [self._pace(asked, others, is_loaded=asked is model) for asked in others]
        left_s = self.left_s
        fit = units_that_fit(paces, left_s, most=self.units)
        word = _UNIT_WORDS.get(self._plan.prompt.method, "photos")
        if fit < self.units:
            self._shown.say(
                f"forecast: {fit} of {self.units} {word} per model fit into the remaining "
                f"{left_s / 60:.0f} min"
            )
            self.units = fit
            self._shown.shrink(sum(len(unit) for unit in self._plan.units[:fit]))
        elif not self._forecast_said:
            self._shown.say(
                f"forecast: all {self.units} {word} take "
                f"{needed_s(paces, self.units) / 60:.0f} of the remaining {left_s / 60:.0f} min"
            )
        self._forecast_said = True

    def _pace(self, model: AskedModel, others: Sequence[AskedModel], *, is_loaded: bool) -> Pace:
        per_unit = sum(len(unit) for unit in self._plan.units) / max(1, len(self._plan.units))
        loads = [asked.load_s for asked in others if asked.load_s is not None]
        load_s = model.load_s or max(loads, default=0.0)
        return Pace(
            load_s=0.0 if is_loaded else load_s,
            unit_s=statistics.fmean(model.warm_s) * per_unit,
            done=model.done,
        )


def units_that_fit(paces: Sequence[Pace], remaining_s: float, *, most: int) -> int:
    """Find the largest number of units that every model can answer in time.

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
