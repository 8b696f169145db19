"""One build of a kind at a time, among all commands of this machine."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from ops.machine.builds import sharing
from ops.report.terminal import Say

_HELD: ContextVar[tuple[int, ...]] = ContextVar("held", default=())


def held() -> tuple[int, ...]:
    """File descriptors of the locks that this build holds.

    Its compilers inherit them: if the command is killed, the lock ends with the last compiler, so
    that two never write one file.
    """
    return _HELD.get()


@contextmanager
def build_lock(folder: Path, name: str, *, say: Say) -> Iterator[None]:
    """Hold the lock of a directory of builds; wait while another command has it.

    Args:
        folder: The directory.
        name: The build in messages.
        say: Prints a line if it has to wait.
    """
    with (folder / "lock").open("w") as lock:
        if not try_lock(lock):
            say(f"waiting for another command that builds {name}")
            with sharing(say) as shared:
                while not try_lock(lock):
                    shared.check()
                    time.sleep(0.2)
        token = _HELD.set((*_HELD.get(), lock.fileno()))
        try:
            yield
        finally:
            _HELD.reset(token)


def try_lock(lock: IO[str]) -> bool:
    """Lock an open file for this process; return whether that was possible at once."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
