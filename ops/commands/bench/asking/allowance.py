"""The time of a session, and how many questions fit into it, equally for all models."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.commands.bench.asking.asked_model import AskedModel
from ops.commands.bench.asking.plan import Plan
from ops.commands.bench.asking.progress import Display

CALIBRATION = 5
"""Photos per model on which a forecast is based."""
_USABLE = 0.95
"""The usable share of the remaining time: single answers take longer than the mean."""
_UNIT_WORDS = {"pairwise": "pairs", "anchored": "blocks of photos"}


class TimeUpError(Exception):
    """No time is left for another answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One model's speed so far, and its progress."""

    load_s: float
    """Duration of a load; 0: the model is loaded, or needs no further load."""
    unit_s: float
    """Mean duration of its warm answers, per unit of the schedule."""
    done: int
    """Answered units, from the start of the schedule."""


class Allowance:
    """The deadline of a session, and how much of the schedule it plans to ask."""

    def __init__(self, plan: Plan, display: Display, clock: Callable[[], float]) -> None:
        """Plan to ask the whole schedule."""
        self._plan = plan
        self._display = display
        self._clock = clock
        self._forecast_printed = False
        self.units = len(plan.units)
        """Units to ask every model, from the start of the schedule; this number only shrinks."""

    @property
    def is_limited(self) -> bool:
        """Whether there is a deadline."""
        return self._plan.deadline is not None

    @property
    def left_s(self) -> float:
        """Remaining seconds; infinite without a deadline."""
        deadline = self._plan.deadline
        return math.inf if deadline is None else deadline - self._clock()

    @property
    def calibration(self) -> int:
        """Number of units that contain the photos of a forecast."""
        questions = 0
        for number, unit in enumerate(self._plan.units, start=1):
            questions += len(unit)
            if questions >= CALIBRATION:
                return number
        return len(self._plan.units)

    def check(self, model: AskedModel, *, load_s: float = 0.0) -> None:
        """Refuse to start what would not finish in time.

        Raises:
            TimeUpError: when a load and an answer take longer than the remaining time.
        """
        answer_s = statistics.fmean(model.warm_s) if model.warm_s else 0.0
        if load_s + answer_s > self.left_s:
            raise TimeUpError

    def fit(self, model: AskedModel, others: Sequence[AskedModel]) -> None:
        """Shrink the schedule for all models if the remaining time demands it.

        Args:
            model: The loaded model.
            others: All models of this session.
        """
        known = all(asked.warm_s for asked in others)
        if not self.is_limited or not known or len(model.warm_s) < CALIBRATION:
            return
        paces = [self._pace(asked, others, is_loaded=asked is model) for asked in others]
        left_s = self.left_s
        fit = units_that_fit(paces, left_s, most=self.units)
        word = _UNIT_WORDS.get(self._plan.prompt.method, "photos")
        if fit < self.units:
            self._display.say(
                f"forecast: {fit} of {self.units} {word} per model fit into the remaining "
                f"{left_s / 60:.0f} min"
            )
            self.units = fit
            self._display.shrink(sum(len(unit) for unit in self._plan.units[:fit]))
        elif not self._forecast_printed:
            self._display.say(
                f"forecast: all {self.units} {word} take "
                f"{needed_s(paces, self.units) / 60:.0f} of the remaining {left_s / 60:.0f} min"
            )
        self._forecast_printed = True

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
        The number from the start of the schedule; at least what all have answered already.
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
    """Add up the loads and answers until every model has answered that many units."""
    todo = [(pace, units - pace.done) for pace in paces if units > pace.done]
    return sum(pace.load_s + count * pace.unit_s for pace, count in todo)
