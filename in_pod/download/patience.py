"""How long a run bears that nothing comes."""

from __future__ import annotations

import time

from .contract import TRANSIENT
from .errors import DownloadError

RETRY_S = 0.5
"""How long a connection leaves a file alone with which it failed; twice as long each time."""


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
