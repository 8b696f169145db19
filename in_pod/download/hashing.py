"""Hash a file of the volume, bypassing the page cache so that warm models stay warm."""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

from .opening import open_file


def hash_file(
    path: Path,
    *,
    rate_mb_s: float = math.inf,
    progress: Callable[[int], None] = lambda _done_bytes: None,
) -> str:
    """Return the sha256 of a file.

    Args:
        path: The file.
        rate_mb_s: Megabytes a second at most (default: no limit).
        progress: Called with the bytes hashed so far, after each read (default: nothing).
    """
    sha256 = hashlib.sha256()
    buffer = mmap.mmap(-1, 4 << 20)
    try:
        fd = open_file(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        fd = open_file(path, os.O_RDONLY)
    started = time.monotonic()
    done = 0
    try:
        while count := os.preadv(fd, [buffer], done):
            sha256.update(memoryview(buffer)[:count])
            done += count
            progress(done)
            time.sleep(max(0.0, done / 1e6 / rate_mb_s - (time.monotonic() - started)))
    finally:
        os.close(fd)
    return sha256.hexdigest()
