#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""Read the models into the page cache of the node that serves them; runs before llama-swap starts.

Waits until the download Job has published what the plan names, then reads each model in the
plan's order, as far as memory allows. Whatever goes wrong, the exit code is 0: a cold model is
slow, a pod that does not start is worse.

    python3 warm.py --plan warm-plan.json --models /models --wait-s 3600

Eight threads with 4 MiB reads: a single reader waits for each answer of NFS, and an advice to the
kernel (WILLNEED) loads one read-ahead window only. The last line is the report, JSON.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

MIB = 1 << 20
READ_BYTES = 4 * MIB
THREADS = 8
SHARE = 0.9
"""Of the memory that is there: above it the kernel drops what was read first."""
POLL_S = 2.0
SAY_S = 15.0
STALL_S = 600.0
"""No download for so long means that none runs any more: its image is pulled in less."""


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def size_text(size_bytes: float) -> str:
    """Say a number of bytes as a person would."""
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.1f} MiB"
    return f"{size_bytes / 2**30:.2f} GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file under its model's folder."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with the files that it loads."""

    id: str
    files: tuple[File, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(slots=True, kw_only=True)
class Warmed:
    """What became of a model."""

    id: str
    size_bytes: int
    read_bytes: int = 0
    seconds: float = 0.0
    mb_per_s: float = 0.0
    resident_percent: float | None = None
    """None where the kernel does not say: it does so to a file's owner or writer alone."""
    skipped: str = ""
    """Why it was not read; empty when it was, or was resident."""

    def __str__(self) -> str:
        share = self.resident_percent
        resident = "residency unknown" if share is None else f"{share} % resident"
        if self.skipped:
            return f"{self.id}: left cold, {self.skipped}; {resident}"
        if not self.read_bytes:
            return f"{self.id}: {size_text(self.size_bytes)} were in memory already"
        read = f"{size_text(self.read_bytes)} read in {self.seconds} s, {self.mb_per_s:.0f} MB/s"
        return f"{self.id}: {read}; {resident}"


def read_plan(path: Path) -> tuple[Model, ...]:
    """Read the plan: models in the order in which they are to be warm."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Model(id=model["id"], files=tuple(File(**file) for file in model["files"]))
        for model in document["models"]
    )


# ---- Waiting -------------------------------------------------------------------------------


def published(models: Path, model: Model, file: File) -> Path | None:
    """Find a file's bytes, if the model's link leads to exactly those."""
    path = (models / model.id / file.name).resolve()
    with suppress(OSError):
        if path.name == file.sha256 and path.stat().st_size == file.size_bytes:
            return path
    return None


def missing(models: Path, plan: tuple[Model, ...]) -> Iterator[str]:
    """Say of each file that is not there how far it is."""
    for model in plan:
        for file in model.files:
            if published(models, model, file) is not None:
                continue
            partial = models / "blobs" / f"{file.sha256}.partial"
            state = "missing"
            with suppress(OSError):
                share = min(1.0, partial.stat().st_blocks * 512 / file.size_bytes)
                state = f"{100 * share:.0f} % of {size_text(file.size_bytes)}"
            if (models / "blobs" / file.sha256).exists():
                state = "there, not linked yet"
            yield f"{model.id}/{file.name} ({state})"


def wait_for(models: Path, plan: tuple[Model, ...], wait_s: float) -> float:
    """Wait until all files are published, at most so long, and while somebody downloads.

    Returns:
        Seconds waited.
    """
    started = changed = time.monotonic()
    said = -SAY_S
    seen: tuple[object, ...] = ()
    while lacking := list(missing(models, plan)):
        waited_s = time.monotonic() - started
        if (signs := (lacking, heartbeat(models))) != seen:
            seen, changed = signs, time.monotonic()
        if time.monotonic() - changed >= STALL_S:
            say(f"nobody downloads any more; without {', '.join(lacking)}")
            break
        if waited_s >= wait_s:
            say(f"not waiting any longer than {wait_s:.0f} s for {', '.join(lacking)}")
            break
        if waited_s - said >= SAY_S:
            said = waited_s
            say(f"waiting for {', '.join(lacking)}; at most {wait_s - waited_s:.0f} s more")
        time.sleep(min(POLL_S, max(0.05, wait_s - waited_s)))
    return time.monotonic() - started


def heartbeat(models: Path) -> bytes:
    """Read what a download that works on the volume changes every few seconds."""
    with suppress(OSError):
        return (models / ".lease").read_bytes()
    return b""


# ---- Memory --------------------------------------------------------------------------------


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


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


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


# ---- Reading -------------------------------------------------------------------------------


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


def read_ranges(path: Path, ranges: list[tuple[int, int]], label: str) -> None:
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
                if time.monotonic() - said > SAY_S / 3:
                    said = time.monotonic()
                    rate = done / (said - started)
                    say(
                        f"{label}: {100 * done / total:.0f} % of {size_text(total)}, "
                        f"{rate / 1e6:.0f} MB/s, {(total - done) / rate:.0f} s left"
                    )
    finally:
        os.close(fd)


def warm(models: Path, model: Model, budget: int) -> Warmed:
    """Read a model, unless it is resident or too large for the budget."""
    result = Warmed(id=model.id, size_bytes=model.size_bytes)
    found = [published(models, model, file) for file in model.files]
    paths = [path for path in found if path is not None]
    if len(paths) < len(found):
        result.skipped = "not published"
        return result
    cold = [(path, cold_ranges(path)) for path in paths]
    cold_bytes = sum(size for _, ranges in cold for _, size in ranges)
    if cold_bytes > budget:
        result.skipped = f"{size_text(cold_bytes)} do not fit into {size_text(budget)} of memory"
    else:
        started = time.monotonic()
        for path, ranges in cold:
            label = f"{model.id}/{model.files[paths.index(path)].name}"
            read_ranges(path, ranges, label)
        result.read_bytes = cold_bytes
        result.seconds = round(time.monotonic() - started, 3)
        result.mb_per_s = round(cold_bytes / 1e6 / max(result.seconds, 1e-3), 1)
        # A page that was read twice outlives other files' pages; from memory this costs little.
        for path, ranges in cold:
            read_ranges(path, ranges, f"{model.id}, again")
    pages = [resident_pages(path) for path in paths]
    if None not in pages:
        every = b"".join(page for page in pages if page is not None)
        result.resident_percent = round(100 * sum(every) / max(1, len(every)), 1)
    return result


def run(plan: tuple[Model, ...], models: Path, wait_s: float) -> dict[str, object]:
    """Wait, read, and report."""
    waited_s = wait_for(models, plan, wait_s)
    # The cgroup pays for what it reads; the node holds that, and what was there already.
    node = int(SHARE * available_bytes())
    cgroup = int(SHARE * (limit_bytes() or available_bytes()))
    budget = min(node, cgroup)
    warmed = []
    for model in plan:
        try:
            result = warm(models, model, min(node, cgroup))
        except OSError as error:
            reason = error.strerror or str(error)
            result = Warmed(id=model.id, size_bytes=model.size_bytes, skipped=reason)
        cgroup -= result.read_bytes
        node -= 0 if result.skipped else result.size_bytes
        say(str(result))
        warmed.append(asdict(result))
    return {
        "event": "warm",
        "waited_s": round(waited_s, 1),
        "budget_bytes": budget,
        "models": warmed,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0 whatever happens, except for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="warm.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", type=Path, required=True, help="the plan, JSON")
    parser.add_argument("--models", type=Path, required=True, help="the volume's directory")
    parser.add_argument("--wait-s", type=float, default=3600.0, help="at most (%(default)s)")
    options = parser.parse_args(arguments)
    # The first process of a container ignores SIGTERM unless it says otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        report = run(read_plan(options.plan), options.models, options.wait_s)
    except Exception as error:  # Nothing that goes wrong here is worth a pod that does not start.
        report = {"event": "warm", "error": f"{type(error).__name__}: {error}"}
    say(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
