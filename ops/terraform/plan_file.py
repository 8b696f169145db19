"""The file of a plan: it has the whole state, so no way to end a command may leave it for long."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PREFIX = "plan-"


@contextmanager
def plan_file(directory: Path) -> Iterator[Path]:
    """Yield a path that only its owner can read; the file is removed at the end of the context.

    Args:
        directory: The stack's directory, where a later plan finds what a killed one left.
    """
    with ExitStack() as opened:
        # Nobody takes the new folder for an abandoned one before it is locked.
        with _locked(directory, wait=True):
            temporary = tempfile.TemporaryDirectory(dir=directory, prefix=_PREFIX)
            folder = Path(opened.enter_context(temporary))
            opened.enter_context(_locked(folder))
        yield folder / "plan"


def remove_abandoned(directory: Path) -> None:
    """Remove the plans of commands that were killed."""
    with _locked(directory, wait=True):
        for folder in directory.glob(f"{_PREFIX}*/"):
            try:
                with _locked(folder):
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue  # Another command plans, or has just ended.


@contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock that ends with this process.

    Args:
        folder: What to lock.
        wait: Whether to wait until no other process holds it (default: no).

    Raises:
        OSError: if another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
