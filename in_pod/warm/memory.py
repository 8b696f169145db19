"""The available memory, and the pages of a file that are in it."""

from __future__ import annotations

import ctypes
import mmap
import os
from contextlib import suppress
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def limit_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Read the memory limit of the pod's cgroup, version 2 or 1; None if there is no limit."""
    for path in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return int((cgroup / path).read_text(encoding="ascii"))
    return None


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Read the node's available memory, which includes the page cache."""
    lines = meminfo.read_text(encoding="ascii").splitlines()
    available = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(available.split()[1]) * 1024


def resident_pages(path: Path) -> bytes | None:
    """Read which pages of a file are in the page cache (mincore).

    Returns:
        A byte for each page, 1 if it is resident; None if the kernel does not tell: only the owner
        or a writer of a file gets the truth.
    """
    if path.stat().st_uid != os.geteuid() and not os.access(path, os.W_OK):
        return None
    size = path.stat().st_size
    pages = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    fd = os.open(path, os.O_RDONLY)
    try:
        address = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            return None
        failed = _LIBC.mincore(address, size, pages)
        _LIBC.munmap(address, size)
    finally:
        os.close(fd)
    return None if failed else bytes(page & 1 for page in pages.raw)
