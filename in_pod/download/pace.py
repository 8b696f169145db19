"""How fast bytes come: in all, of one connection, and whether more connections help."""

from __future__ import annotations

import collections
import statistics
import time
from dataclasses import dataclass, field

GROW_S = 0.5
GROW_ANYWAY_S = 10.0
"""Connections are doubled as long as that makes the whole faster, and every so often to try: on a
fast link more of them cost time, on a slow one each brings its own share."""
SLOW_SHARE = 0.25
"""A connection below this share of what is usual is opened anew: two thirds of a hub's edges were
seen to give an eighth of what the others gave."""


class Speed:
    """Bytes a second over the last ten seconds."""

    def __init__(self, done: int) -> None:
        self._points = collections.deque([(time.monotonic(), done)])

    def at(self, done: int) -> float:
        """Say how fast it goes, now that so many bytes are done."""
        now = time.monotonic()
        self._points.append((now, done))
        while now - self._points[0][0] > 10 and len(self._points) > 2:
            self._points.popleft()
        since, before = self._points[0]
        return max(0, done - before) / (now - since) if now > since else 0.0


@dataclass(slots=True)
class Rates:
    """What connections usually give, from the segments that came of late."""

    recent: collections.deque[float] = field(default_factory=lambda: collections.deque(maxlen=32))

    def add(self, rate: float) -> None:
        """Note what a connection gave, in bytes a second."""
        self.recent.append(rate)

    def is_slow(self, rate: float) -> bool:
        """Whether a connection gives far less than is usual."""
        return len(self.recent) >= 4 and rate < SLOW_SHARE * statistics.median(self.recent)


class Growth:
    """When more connections are worth it."""

    def __init__(self, done: int) -> None:
        self._done = done
        self._since = time.monotonic()
        self._rate = 0.0

    def is_due(self, done: int) -> bool:
        """Whether the last ones made the whole faster, or that was asked long ago."""
        passed_s = time.monotonic() - self._since
        if passed_s < GROW_S:
            return False
        rate = (done - self._done) / passed_s
        if rate < 1.2 * self._rate and passed_s < GROW_ANYWAY_S:
            return False
        self._done, self._since, self._rate = done, time.monotonic(), rate
        return True
