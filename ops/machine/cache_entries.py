"""What lies in the cache of builds, who uses it, and its removal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.machine.build_cache import CHECKOUT, NEW, USERS, WORK
from ops.machine.build_lock import try_lock
from ops.report.terminal import Say
from ops.report.words import size

_LOCK = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One build: its programs, or what a build that was cut has left."""

    folder: Path
    """The directory of all builds of this kind."""
    key: str
    paths: tuple[Path, ...]
    """Its directories."""
    size_bytes: int
    used_at: float
    """Last use, in seconds since 1970."""
    checkouts: tuple[Path, ...]
    """The checkouts whose last use of this kind was this key."""
    is_running: bool
    """Whether a process runs a program of it."""

    @property
    def is_used(self) -> bool:
        """Whether it must be kept."""
        return bool(self.checkouts) or self.is_running

    @property
    def is_used_here(self) -> bool:
        """Whether this checkout uses it."""
        return CHECKOUT in self.checkouts


def entries(cache: Path) -> tuple[Entry, ...]:
    """List the builds of a cache, by kind and key.

    Args:
        cache: The cache's directory.
    """
    running = _running_below(cache)
    return tuple(
        entry
        for lock in sorted(cache.glob(f"*/{_LOCK}"))
        for entry in _entries_of(lock.parent, running)
    )


def _entries_of(folder: Path, running: frozenset[Path]) -> Iterator[Entry]:
    users = tuple(_users(folder))
    keys = {
        path.name.removesuffix(WORK).removesuffix(NEW)
        for path in folder.iterdir()
        if path.is_dir() and path.name != USERS
    }
    for key in sorted(keys):
        of_key = [(checkout, at) for used, checkout, at in users if used == key]
        paths = [
            path for ending in ("", WORK, NEW) if (path := folder / f"{key}{ending}").is_dir()
        ]
        yield Entry(
            folder=folder,
            key=key,
            paths=tuple(paths),
            size_bytes=sum(map(_size, paths)),
            used_at=max(at for _, at in of_key) if of_key else max(map(_changed_at, paths)),
            checkouts=tuple(checkout for checkout, _ in of_key),
            is_running=any(program.is_relative_to(folder / key) for program in running),
        )


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime


def _users(folder: Path) -> Iterator[tuple[str, Path, float]]:
    """Key, checkout and time of each record whose checkout still exists."""
    for record in (folder / USERS).glob("*"):
        with suppress(OSError, ValueError):
            key, checkout = record.read_text().splitlines()
            if (Path(checkout) / "ops").is_dir():
                yield key, Path(checkout), record.stat().st_mtime


def _running_below(cache: Path) -> frozenset[Path]:
    programs = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            program = Path(process.exe())
            if program.is_relative_to(cache.resolve()):
                programs.add(cache / program.relative_to(cache.resolve()))
    return frozenset(programs)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += 0 if path.is_symlink() else path.stat().st_size
    return total


def prune(unused: Sequence[Entry], *, say: Say) -> int:
    """Delete builds, unless they came into use or a build of their kind is in progress.

    Args:
        unused: The builds.
        say: Prints a line for each.

    Returns:
        The bytes of what was deleted.
    """
    freed = 0
    for entry in unused:
        name = f"{entry.folder.name} {entry.key}"
        with (entry.folder / _LOCK).open("w") as lock:
            if not try_lock(lock):
                say(f"kept {name}: a build is in progress")
                continue
            now = {found.key: found for found in entries(entry.folder.parent)
                   if found.folder == entry.folder}  # fmt: skip
            if entry.key in now and now[entry.key].is_used:
                say(f"kept {name}: it is in use now")
                continue
            for path in entry.paths:
                shutil.rmtree(path)
        say(f"deleted {name}, {size(entry.size_bytes)}")
        freed += entry.size_bytes
    return freed
