"""What other programs hold of the card's memory: the gauge less the loaded models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .policy import Policy

STALE_S = 60
"""Age from which a gauge says nothing: the program behind it has ended."""
SAMPLE_S = 5
"""llama-swap refreshes its gauges in this period, its shortest and its default."""
_GAP_S = 5
"""Between two looks further apart a model may have come and gone unseen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A gauge of the card."""

    at: float
    """When it was taken, in seconds of the monotonic clock; an earlier time where that is not
    known exactly."""
    used_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What other programs hold."""

    mib: float
    age_s: float
    certain: bool
    """Whether the same models were loaded before and after the gauge was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Why it cannot be said what other programs hold."""

    reason: Literal["no gauges", "old gauges", "models load", "foreign model"]


@dataclass(slots=True, kw_only=True)
class CardWatch:
    """Looks at the loaded models and the card's gauge, put together."""

    policy: Policy
    _running: Mapping[str, bool] = field(init=False, default_factory=dict)
    _steady_since: float = field(init=False, default=float("inf"))
    _looked_at: float = field(init=False, default=float("-inf"))
    _watched_since: float = field(init=False, default=float("-inf"))
    _newest: Sample | None = field(init=False, default=None)
    _steady: tuple[Sample, float] | None = field(init=False, default=None)
    """The last gauge taken while the loaded models stayed the same, and what was others'."""

    def look(self, now: float, running: Mapping[str, bool], sample: Sample | None) -> None:
        """Note one look.

        Args:
            now: Seconds of the monotonic clock.
            running: The models that hold memory -> whether they are ready, not loading or ending.
            sample: The newest gauge; None if the front end has none.
        """
        if now - self._looked_at > _GAP_S:
            self._watched_since = now
        if not all(running.values()) or not self._knows(running):
            self._steady_since = float("inf")
        elif running != self._running or self._steady_since == float("inf"):
            self._steady_since = now
        self._running, self._looked_at, self._newest = dict(running), now, sample
        if sample and sample.at >= self._steady_since:
            self._steady = sample, self._others_mib(sample)

    def others(self, now: float) -> Others | Unknown:
        """Return what other programs hold.

        The newest gauge counts, or else the last one taken while the loaded models stayed the
        same, if these were watched ever since.
        """
        if not self._knows(self._running):
            return Unknown(reason="foreign model")
        newest, certain = self._newest, False
        if newest is None:
            return Unknown(reason="no gauges")
        if self._steady:
            steady, others_mib = self._steady
            if steady.at >= min(newest.at, self._watched_since - SAMPLE_S):
                newest, certain = steady, True
        if now - newest.at > STALE_S:
            return Unknown(reason="old gauges")
        if not certain:
            if not all(self._running.values()):
                return Unknown(reason="models load")
            others_mib = self._others_mib(newest)
        return Others(mib=others_mib, age_s=max(0.0, now - newest.at), certain=certain)

    def _knows(self, running: Mapping[str, bool]) -> bool:
        return running.keys() <= self.policy.models.keys()

    def _others_mib(self, sample: Sample) -> float:
        models = self.policy.models
        loaded = sum(models[model].vram_mib for model in self._running)
        return max(0.0, sample.used_mib - loaded)
