"""How fast bytes come, whether more connections help, and how long a run bears that none come."""

from __future__ import annotations

import collections
import statistics
import time
from dataclasses import dataclass, field

from .contract import TRANSIENT
from .errors import DownloadError

GROW_S = 0.5
GROW_ANYWAY_S = 10.0
"""Connections are doubled as long as that makes the whole faster, and every so often to try: on a
fast link more of them cost time, on a slow one each brings its own share."""
SLOW_SHARE = 0.25
"""A connection below this share of what is usual is opened anew: two thirds of a hub's edges were
seen to give an eighth of what the others gave."""

RETRY_S = 0.5
"""How long a connection leaves a file alone with which it failed; twice as long each time."""


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


class Patience:
    """Says how long a connection leaves a file alone with which it failed, and when to give up."""

    def __init__(self, limit_s: float) -> None:
        """Give up when no byte came for so long."""
        self.trouble = ""
        """Why a connection failed last; empty when none did."""
        self._limit_s = limit_s
        self._last_byte = time.monotonic()

    def renew(self) -> None:
        """A byte came."""
        self._last_byte = time.monotonic()

    def pause_s(self, name: str, reason: str, *, failures: int, wait_s: float) -> float:
        """Say for how long a connection leaves a file alone.

        Args:
            name: The file's.
            reason: Why it failed.
            failures: How often without a byte, this time included.
            wait_s: What the server asks for.

        Raises:
            DownloadError: with TRANSIENT when nothing came for too long.
        """
        self.trouble = reason
        silent_s = time.monotonic() - self._last_byte
        if silent_s > self._limit_s or wait_s > self._limit_s:
            asked = f"; the server asks for a pause of {wait_s:.0f} s" if wait_s else ""
            raise DownloadError(
                TRANSIENT, f"{name}: {reason}, and no byte for {silent_s:.0f} s{asked}"
            )
        return min(RETRY_S * 2.0 ** (failures - 1), 30.0, self._limit_s / 4) if failures else 0.0
