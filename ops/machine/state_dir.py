"""A state directory that one command at a time may use."""

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
"""A command that is killed while it starts a server leaves the lock to the server until its
exec."""


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Create a directory and lock it while the context lasts.

    Raises:
        OpsError: when another command has the lock, and for OSErrors within the context.
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
                    f"another command uses {state_dir}. Wait for it, or pass --state-dir."
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
    remedy = "Free some space" if error.errno == errno.ENOSPC else "Pass another --state-dir"
    return OpsError(
        f"the state directory {state_dir} cannot be used ({error.strerror or error}). {remedy}."
    )
