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
    """List the ranges of a file that are not fully resident, as offset and size."""
    size = path.stat().st_size
    pages = resident_pages(path)
    per_range = READ_BYTES // mmap.PAGESIZE
    cold = []
    for offset in range(0, size, READ_BYTES):
        first = offset // mmap.PAGESIZE
        if pages is None or not all(pages[first : first + per_range]):
            cold.append((offset, min(READ_BYTES, size - offset)))
    return cold


def read_ranges(path: Path, ranges: list[tuple[int, int]], label: str, say: Say) -> None:
    """Read ranges in several threads, and print the progress every few seconds."""
    fd = os.open(path, os.O_RDONLY)
    total = sum(size for _, size in ranges)
    started = printed = time.monotonic()
    done = 0
    thread = threading.local()

    def prepare() -> None:
        # A new buffer for each read would cost more than the read.
        thread.buffer = memoryview(bytearray(READ_BYTES))

    def read(cold: tuple[int, int]) -> int:
        offset, size = cold
        return os.preadv(fd, [thread.buffer[:size]], offset)

    try:
        with ThreadPoolExecutor(THREADS, initializer=prepare) as threads:
            for count in threads.map(read, ranges):
                done += count
                if time.monotonic() - printed > SAY_S:
                    printed = time.monotonic()
                    rate = done / (printed - started)
                    say(
                        f"{label}: {100 * done / total:.0f} % of {size_text(total)}, "
                        f"{rate / 1e6:.0f} MB/s, {(total - done) / rate:.0f} s left"
                    )
    finally:
        os.close(fd)
