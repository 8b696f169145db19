"""Programs that are built once for all checkouts of this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ops.machine.build_lock import build_lock
from ops.machine.build_run import full_disk_is_an_error
from ops.machine.builds import sharing
from ops.report.terminal import Say

WORK, NEW = ".work", ".new"
"""Endings of a target's other directories: what a build makes on the way, and its result."""
USERS = "users"
"""Directory of one file for each checkout, which names the key that it uses."""
# The tests import this file through a link, in a copy that lasts as long as they run.
CHECKOUT = Path(__file__).resolve().parents[2]


def cache_dir() -> Path:
    """Directory of the builds: `$XDG_CACHE_HOME/llama-cpp-infra`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "llama-cpp-infra"


def target_of(kind: str, pinned: str) -> Path:
    """Return the directory of a build in the cache.

    Args:
        kind: The programs, such as `llama-server`.
        pinned: All that the build depends on: another text is another build.
    """
    return cache_dir() / kind / hashlib.sha256(pinned.encode()).hexdigest()[:16]


def work_dir(target: Path) -> Path:
    """Directory where a build that was cut resumes; deleted when the target is complete."""
    return target.with_name(f"{target.name}{WORK}")


def is_complete(target: Path, programs: Iterable[str]) -> bool:
    """Whether a directory of the cache has all programs."""
    return all((target / program).is_file() for program in programs)


def built_once(
    name: str,
    target: Path,
    programs: Iterable[str],
    build: Callable[[Path], None],
    *,
    say: Say,
) -> Path:
    """Return a directory of programs, after building it if it is incomplete, under a lock.

    Args:
        name: The build in messages.
        target: The directory in the cache; its name changes with the inputs of the build.
        programs: Names of the required files.
        build: Fills an empty directory, which then becomes the target.
        say: Prints a line.

    Raises:
        OpsError: from `build`, or when the disk is full; the target does not exist then.
    """
    required = tuple(programs)
    _record_use(target)
    if is_complete(target, required):
        return target
    with full_disk_is_an_error(name, cache_dir().parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _record_use(target)
        with build_lock(target.parent, name, say=say):
            if is_complete(target, required):
                return target
            started = time.monotonic()
            fresh = target.with_name(f"{target.name}{NEW}")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            work_dir(target).mkdir(exist_ok=True)
            try:
                with sharing(say):  # One display for all steps.
                    build(fresh)
                shutil.rmtree(target, ignore_errors=True)
                fresh.rename(target)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(work_dir(target), ignore_errors=True)
    say(f"built {name} in {time.monotonic() - started:.0f} s")
    return target


def _record_use(target: Path) -> None:
    """Record that this checkout uses a target, so that `ops cache` keeps it."""
    text = f"{target.name}\n{CHECKOUT}\n"
    users = target.parent / USERS
    record = users / hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:16]
    # A cache that cannot be written, for instance one that is shared, still has its programs.
    with suppress(OSError):
        if record.is_file() and record.read_text() == text:
            record.touch()
            return
        users.mkdir(exist_ok=True)
        new = record.with_suffix(f".{os.getpid()}")
        new.write_text(text)
        new.replace(record)
