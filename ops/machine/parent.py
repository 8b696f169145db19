"""End a command when the one that started it is gone, even by SIGKILL.

The parent holds the writing end of a pipe and does nothing with it. The kernel closes that end
when the parent ends, however it does, and the child, which reads the other end, sees it.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_VARIABLE = "LLAMA_CPP_INFRA_PARENT_PIPE"
"""Descriptor and inode of the pipe's reading end."""


@contextmanager
def pipe_for_child() -> Iterator[tuple[int, dict[str, str]]]:
    """Open a pipe that closes with this process.

    Yields:
        The descriptor for the `pass_fds` of the child, and the variable for its environment.
    """
    reading, writing = os.pipe()
    try:
        yield reading, {_VARIABLE: f"{reading}:{os.fstat(reading).st_ino}"}
    finally:
        os.close(writing)
        os.close(reading)


def end_with_parent() -> None:
    """Send SIGTERM to this process when its parent is gone, if the parent passed a pipe."""
    # A child of this process has another parent.
    pipe = _passed(os.environ.pop(_VARIABLE, ""))
    if pipe is not None:
        os.set_inheritable(pipe, False)
        threading.Thread(target=_end_when_closed, args=(pipe,), daemon=True).start()


def _passed(text: str) -> int | None:
    """Find the pipe; None: a program in between closed it, and the number may be reused."""
    number, _, inode = text.partition(":")
    try:
        pipe = int(number)
        status = os.fstat(pipe)
    except (ValueError, OverflowError, OSError):
        return None
    is_same = stat.S_ISFIFO(status.st_mode) and str(status.st_ino) == inode
    return pipe if is_same else None


def _end_when_closed(pipe: int) -> None:
    with suppress(OSError):
        os.read(pipe, 1)
    with suppress(OSError):
        os.write(2, b"- the command that started this one is gone, so this one ends\n")
    # To the main thread: only there it interrupts what the command waits for.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
