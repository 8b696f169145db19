"""The parts of a swap, seen from outside: the children of a front end, and their health."""

from __future__ import annotations

import contextlib
import http.client
import statistics
import threading
import time
from dataclasses import dataclass
from typing import Self

import psutil

PARTS = ("old process gone", "new process spawned", "healthy", "first token")
"""The ends of the parts of a swap, in order; the first part starts with the request."""
PERIOD_S = 0.001
"""Seconds between two polls; a poll itself takes a few milliseconds."""
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One swap."""

    total_s: float
    """From the request to the first token of the stream."""
    parts_s: dict[str, float]
    """Seconds of each of PARTS; they add up to the total."""
    gaps_s: tuple[float, ...]
    """Seconds between two polls: the precision of the parts."""


def swap_of(started: float, moments: dict[str, float], gaps_s: list[float]) -> Swap:
    """Turn the moments at which parts ended into durations.

    Args:
        started: When the request was sent, in seconds of `time.monotonic`, as all moments.
        moments: One of each of PARTS.
        gaps_s: Seconds between two polls.
    """
    first_token = moments[PARTS[-1]]
    parts_s = {}
    before = started
    for part in PARTS:
        # A change that a poll saw only after the token counts as of the token.
        at = min(max(moments.get(part, before), before), first_token)
        parts_s[part] = at - before
        before = at
    return Swap(total_s=first_token - started, parts_s=parts_s, gaps_s=tuple(gaps_s))


def llama_servers(pid: int) -> dict[int, int]:
    """Find the models' processes that a front end started and that have not begun to end.

    Returns:
        Process id -> port.
    """
    front_end = psutil.Process(pid)
    own = front_end.cmdline()
    ports = {}
    for child in front_end.children():
        with contextlib.suppress(psutil.Error):
            words = child.cmdline()  # Empty as soon as its memory is released.
            # Between fork and exec a child has its parent's command line.
            if words != own and "--port" in words:
                ports[child.pid] = int(words[words.index("--port") + 1])
    return ports


def is_healthy(port: int) -> bool:
    """Tell whether /health answers 200 on this port of 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health", headers={"Connection": "close"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


class Watch:
    """Records when the old model's process ends, and when the new one starts and is healthy."""

    def __init__(self, pid: int) -> None:
        """Watch the children of a front end while the context lasts."""
        self.moments: dict[str, float] = {}
        self.gaps_s: list[float] = []
        self._pid = pid
        self._old = frozenset(llama_servers(pid))
        self._new: tuple[int, int] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        if kind is None:
            self._thread.join(timeout=_PATIENCE_S)
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._over.is_set() and len(self.moments) < 3:
            try:
                self._look()
            except psutil.NoSuchProcess:
                return
            self.gaps_s.append(time.monotonic() - before)
            before = time.monotonic()
            time.sleep(PERIOD_S)

    def _look(self) -> None:
        gone, spawned, healthy, _ = PARTS
        if gone not in self.moments or spawned not in self.moments:
            ports = llama_servers(self._pid)
            now = time.monotonic()
            if not self._old & ports.keys():
                self.moments.setdefault(gone, now)
            for child, port in ports.items():
                if child not in self._old:
                    self.moments.setdefault(spawned, now)
                    self._new = (child, port)
        if self._new is None or healthy in self.moments:
            return
        child, port = self._new
        if is_healthy(port) or not psutil.pid_exists(child):
            self.moments[healthy] = time.monotonic()


def resolution_ms(swaps: list[Swap]) -> tuple[float, float]:
    """Return the time between two polls in ms: median and 95th percentile."""
    gaps = sorted(gap * 1000 for swap in swaps for gap in swap.gaps_s)
    return (statistics.median(gaps), gaps[int(0.95 * (len(gaps) - 1))]) if gaps else (0, 0)
