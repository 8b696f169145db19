"""What a person reads of a download: lines, sizes, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .plan import File

Say = Callable[[str], None]
"""Takes a line."""


def size_text(size_bytes: float) -> str:
    """Say a number of bytes as a person would."""
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.1f} MiB"
    return f"{size_bytes / 2**30:.2f} GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the run is."""

    files: tuple[tuple[File, int], ...]
    """Each file with its bytes on the volume."""
    rate: float
    """Bytes a second, of late."""
    trouble: str = ""
    """Why a connection failed last; empty when none did."""

    @property
    def done_bytes(self) -> int:
        """Bytes on the volume."""
        return sum(done for _, done in self.files)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file, _ in self.files)

    def pace(self) -> str:
        """Say how fast it goes, and how long that takes."""
        left = self.total_bytes - self.done_bytes
        if left == 0:
            return "checking"
        if self.rate == 0:
            return f"standing still{f' ({self.trouble})' if self.trouble else ''}"
        return f"{self.rate / 1e6:.1f} MB/s, {left / self.rate:.0f} s left"


Report = Callable[[Progress], None]


class PlainReport:
    """A line every few seconds: percent, MB/s and the time that is left."""

    def __init__(self, say: Say, every_s: float = 5.0) -> None:
        """Say something every so often."""
        self._say = say
        self._every_s = every_s
        self._said = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Say how far the run is, unless that was said a moment ago."""
        if time.monotonic() - self._said < self._every_s:
            return
        self._said = time.monotonic()
        current = next((file.name for file, done in progress.files if done < file.size_bytes), "")
        self._say(
            f"{100 * progress.done_bytes / progress.total_bytes:.1f} % of "
            f"{size_text(progress.total_bytes)}, {progress.pace()}"
            + (f"; {current}" if current else "")
        )
