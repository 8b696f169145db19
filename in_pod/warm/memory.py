"""The memory that is there, and which pages of a file are in it."""

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
    """Read the memory limit of the pod's cgroup, version 2 or 1; None where there is none."""
    for path in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return int((cgroup / path).read_text(encoding="ascii"))
    return None


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Read what the node can give; pages of files that are in memory already count as free."""
    lines = meminfo.read_text(encoding="ascii").splitlines()
    found = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(found.split()[1]) * 1024


def resident_pages(path: Path) -> bytes | None:
    """Ask the kernel which pages of a file it holds (mincore).

    Returns:
        A byte a page, 1 where it is resident; None where the kernel would not say the truth: to
        others than the owner or a writer it calls every page resident.
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
