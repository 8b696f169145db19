"""Progress and sizes of a download as text."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .plan import File

Say = Callable[[str], None]
"""Prints a line."""


def size_text(size_bytes: float) -> str:
    """Format a number of bytes."""
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.1f} MiB"
    return f"{size_bytes / 2**30:.2f} GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a run."""

    files: tuple[tuple[File, int], ...]
    """Each file with its bytes on the volume."""
    rate: float
    """Bytes a second over the last seconds."""
    trouble: str = ""
    """Reason of the last failure; empty if there was none."""

    @property
    def done_bytes(self) -> int:
        """Bytes on the volume."""
        return sum(done for _, done in self.files)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file, _ in self.files)

    def pace(self) -> str:
        """Format the speed and the remaining time."""
        left = self.total_bytes - self.done_bytes
        if left == 0:
            return "checking"
        if self.rate == 0:
            return f"stalled{f' ({self.trouble})' if self.trouble else ''}"
        return f"{self.rate / 1e6:.1f} MB/s, {left / self.rate:.0f} s left"


Report = Callable[[Progress], None]


class PlainReport:
    """Prints a line every few seconds: percent, MB/s and the remaining time."""

    def __init__(self, say: Say, every_s: float = 5.0) -> None:
        """Print a line every `every_s` seconds."""
        self._say = say
        self._every_s = every_s
        self._printed = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Print the progress unless the last line is recent."""
        if time.monotonic() - self._printed < self._every_s:
            return
        self._printed = time.monotonic()
        current = next((file.name for file, done in progress.files if done < file.size_bytes), "")
        self._say(
            f"{100 * progress.done_bytes / progress.total_bytes:.1f} % of "
            f"{size_text(progress.total_bytes)}, {progress.pace()}"
            + (f"; {current}" if current else "")
        )
