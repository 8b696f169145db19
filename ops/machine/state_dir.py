"""A directory in which one command at a time works."""

from __future__ import annotations

import errno
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ops.errors import OpsError

_PATIENCE_S = 1.0
"""A command that is killed while it starts a server leaves the lock to that one until its exec."""


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Let one command at a time work on a directory; make the directory.

    Raises:
        OpsError: when another one works on it, and for what the file system refuses meanwhile.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / "lock").open("w")
    except OSError as error:
        raise _unusable(state_dir, error) from error
    with lock:
        deadline = time.monotonic() + _PATIENCE_S
        while not _is_ours(lock):
            if time.monotonic() > deadline:
                raise OpsError(
                    f"another command works on {state_dir}; wait for it, or pass --state-dir"
                )
            time.sleep(0.02)
        try:
            yield
        except OSError as error:
            raise _unusable(state_dir, error) from error


def _is_ours(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unusable(state_dir: Path, error: OSError) -> OpsError:
    remedy = "free some space" if error.errno == errno.ENOSPC else "pass another --state-dir"
    return OpsError(
        f"the state directory {state_dir} cannot be used ({error.strerror or error}); {remedy}"
    )
