"""Speed, slow connections, growth of connections, and retries."""

from __future__ import annotations

import collections
import statistics
import time
from dataclasses import dataclass, field

from .contract import TRANSIENT
from .errors import DownloadError

GROW_S = 0.5
GROW_ANYWAY_S = 10.0
"""Seconds between doublings of the connections: GROW_S while the download gets faster, otherwise
GROW_ANYWAY_S. On a fast link more connections cost time; on a slow link each adds its share."""
SLOW_SHARE = 0.25
"""A connection below this share of the median rate is reopened: two thirds of a hub's edges were
seen to send at an eighth of the others' rate."""

RETRY_S = 0.5
"""Seconds before a connection retries a file after a failure; doubled each time."""


class Speed:
    """Bytes a second over the last ten seconds."""

    def __init__(self, done: int) -> None:
        self._points = collections.deque([(time.monotonic(), done)])

    def at(self, done: int) -> float:
        """Return the speed, now that so many bytes are done."""
        now = time.monotonic()
        self._points.append((now, done))
        while now - self._points[0][0] > 10 and len(self._points) > 2:
            self._points.popleft()
        since, before = self._points[0]
        return max(0, done - before) / (now - since) if now > since else 0.0


@dataclass(slots=True)
class Rates:
    """Rates of the connections for the latest segments."""

    recent: collections.deque[float] = field(default_factory=lambda: collections.deque(maxlen=32))

    def add(self, rate: float) -> None:
        """Add the rate of a connection, in bytes a second."""
        self.recent.append(rate)

    def is_slow(self, rate: float) -> bool:
        """Whether a rate is far below the median."""
        return len(self.recent) >= 4 and rate < SLOW_SHARE * statistics.median(self.recent)


class Growth:
    """Decides when to add connections."""

    def __init__(self, done: int) -> None:
        self._done = done
        self._since = time.monotonic()
        self._rate = 0.0

    def is_due(self, done: int) -> bool:
        """Whether the last growth made the download faster, or is long ago."""
        passed_s = time.monotonic() - self._since
        if passed_s < GROW_S:
            return False
        rate = (done - self._done) / passed_s
        if rate < 1.2 * self._rate and passed_s < GROW_ANYWAY_S:
            return False
        self._done, self._since, self._rate = done, time.monotonic(), rate
        return True


class Patience:
    """Decides when a connection retries a file, and when the run gives up."""

    def __init__(self, limit_s: float) -> None:
        """Give up after `limit_s` seconds without data."""
        self.trouble = ""
        """Reason of the last failure; empty if there was none."""
        self._limit_s = limit_s
        self._last_byte = time.monotonic()

    def renew(self) -> None:
        """Note that data arrived."""
        self._last_byte = time.monotonic()

    def pause_s(self, name: str, reason: str, *, failures: int, wait_s: float) -> float:
        """Return the seconds before a connection retries a file.

        Args:
            name: The file's name.
            reason: The reason of the failure.
            failures: Consecutive failures without data, including this one.
            wait_s: The pause that the server requests.

        Raises:
            DownloadError: with TRANSIENT when no data came for too long.
        """
        self.trouble = reason
        silent_s = time.monotonic() - self._last_byte
        if silent_s > self._limit_s or wait_s > self._limit_s:
            pause = f"; the server requests a pause of {wait_s:.0f} s" if wait_s else ""
            raise DownloadError(
                TRANSIENT, f"{name}: {reason}; no data for {silent_s:.0f} s{pause}"
            )
        return min(RETRY_S * 2.0 ** (failures - 1), 30.0, self._limit_s / 4) if failures else 0.0
