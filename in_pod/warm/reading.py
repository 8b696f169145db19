"""Read a file's cold ranges into the page cache."""

from __future__ import annotations

import mmap
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .memory import resident_pages
from .text import Say, size_text

MIB = 1 << 20
READ_BYTES = 4 * MIB
THREADS = 8
SAY_S = 5.0


def cold_ranges(path: Path) -> list[tuple[int, int]]:
    """Ranges of a file that are not wholly resident: offset and bytes."""
    size = path.stat().st_size
    pages = resident_pages(path)
    per_range = READ_BYTES // mmap.PAGESIZE
    found = []
    for offset in range(0, size, READ_BYTES):
        first = offset // mmap.PAGESIZE
        if pages is None or not all(pages[first : first + per_range]):
            found.append((offset, min(READ_BYTES, size - offset)))
    return found


def read_ranges(path: Path, ranges: list[tuple[int, int]], label: str, say: Say) -> None:
    """Read ranges with several threads; a line every few seconds says how far that is."""
    fd = os.open(path, os.O_RDONLY)
    total = sum(size for _, size in ranges)
    started = said = time.monotonic()
    done = 0
    own = threading.local()

    def prepare() -> None:
        # A new buffer for each read would cost more than the read.
        own.buffer = memoryview(bytearray(READ_BYTES))

    def read(some: tuple[int, int]) -> int:
        offset, size = some
        return os.preadv(fd, [own.buffer[:size]], offset)

    try:
        with ThreadPoolExecutor(THREADS, initializer=prepare) as threads:
            for count in threads.map(read, ranges):
                done += count
                if time.monotonic() - said > SAY_S:
                    said = time.monotonic()
                    rate = done / (said - started)
                    say(
                        f"{label}: {100 * done / total:.0f} % of {size_text(total)}, "
                        f"{rate / 1e6:.0f} MB/s, {(total - done) / rate:.0f} s left"
                    )
    finally:
        os.close(fd)
