"""What other programs hold of each card's memory: its gauge less the loaded models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .policy import Pool

STALE_S = 60
"""Age from which a gauge says nothing: the program behind it has ended."""
SAMPLE_S = 5
"""llama-swap refreshes its gauges in this period, its shortest and its default."""
_GAP_S = 5
"""Between two looks further apart a model may have come and gone unseen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The gauges of all cards."""

    at: float
    """When they were taken, in seconds of the monotonic clock; an earlier time where that is not
    known exactly."""
    used_mib: Mapping[int, float]
    """Card -> what is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What other programs hold."""

    mib: Mapping[int, float]
    """Card -> MiB."""
    age_s: float
    certain: bool
    """Whether the same models were loaded before and after the gauge was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Why it cannot be said what other programs hold."""

    reason: Literal["no gauges", "old gauges", "models load", "foreign model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """Gauges, less the models that they are judged by."""

    at: float
    others_mib: Mapping[int, float]
    certain: bool


@dataclass(slots=True, kw_only=True)
class CardWatch:
    """Looks at the loaded models and the cards' gauges, put together."""

    pool: Pool
    _running: Mapping[str, bool] = field(init=False, default_factory=dict)
    _steady_since: float = field(init=False, default=float("inf"))
    _looked_at: float = field(init=False, default=float("-inf"))
    _has_gauges: bool = field(init=False, default=False)
    _judged: _Judged | None = field(init=False, default=None)

    def look(self, now: float, running: Mapping[str, bool], sample: Sample | None) -> None:
        """Note one look.

        Args:
            now: Seconds of the monotonic clock.
            running: The models that hold memory -> whether they are ready, not loading or ending.
            sample: The newest gauge; None if the front end has none.
        """
        is_first = now - self._looked_at > _GAP_S
        is_settled = all(running.values()) and self._knows(running)
        if not is_settled:
            self._steady_since = float("inf")
        elif running != self._running or self._steady_since == float("inf"):
            self._steady_since = now
        self._running, self._looked_at = dict(running), now
        self._has_gauges = sample is not None
        if is_first:
            self._judged = None
        if sample is None or not is_settled:
            return
        certain = sample.at >= self._steady_since
        # What was loaded before the first look is not known, so it counts as what is loaded now.
        if certain or is_first:
            others_mib = {
                card: max(0.0, used - self.pool.loaded_mib(running, card))
                for card, used in sample.used_mib.items()
            }
            self._judged = _Judged(at=sample.at, others_mib=others_mib, certain=certain)

    def others(self, now: float) -> Others | Unknown:
        """Return what other programs hold, by the last gauge that could be judged."""
        if not self._knows(self._running):
            return Unknown(reason="foreign model")
        if not self._has_gauges:
            return Unknown(reason="no gauges")
        judged = self._judged
        if judged is None:
            return Unknown(reason="models load")
        if now - judged.at > STALE_S:
            return Unknown(reason="old gauges")
        return Others(
            mib=judged.others_mib, age_s=max(0.0, now - judged.at), certain=judged.certain
        )

    def _knows(self, running: Mapping[str, bool]) -> bool:
        return running.keys() <= self.pool.vram_mib.keys()
