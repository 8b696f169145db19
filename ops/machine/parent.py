"""End the processes that a command starts when the command itself is killed by SIGKILL.

A shell reads a pipe whose writing end only this process has. The kernel closes that end when this
process ends, however it does, on Linux and on macOS.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_WATCH = 'read -r _ || { kill -s TERM -- "$1"; kill -s CONT -- "$1"; }'
"""A stopped process handles SIGTERM only after SIGCONT."""


@contextmanager
def ended_with_this(pid: int, *, group: bool = False) -> Iterator[None]:
    """Send SIGTERM to a process if this one is killed while the context lasts.

    The watcher starts some milliseconds after the process; a kill in between is not noticed.

    Args:
        pid: The process, which has just been started.
        group: Whether to signal its whole process group, which it must lead (default: no).
    """
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "sh", f"-{pid}" if group else f"{pid}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Neither Ctrl-C nor a signal to the process's group may end its watcher.
        start_new_session=True,
    )
    try:
        yield
    finally:
        # A line, because the end of the pipe alone would signal a number that may be reused.
        watcher.communicate(b"\n")
