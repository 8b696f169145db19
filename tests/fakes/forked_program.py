"""A program in a fork of a warm interpreter, which kills itself at a chosen write if told to.

Starting Python and importing a command takes longer than most runs do, and a kill by the clock
mostly hits just that.
"""

from __future__ import annotations

import codecs
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

from in_pod.download.__main__ import main as download_main
from ops import cli

CONTEXT = multiprocessing.get_context("forkserver")
# There is one such server a process, so what any test wants to find imported is named here.
CONTEXT.set_forkserver_preload(
    ["tests.real.window.window_process", "ops.commands.bench.outputs", "lightkube"]
)

_WRITES = (
    *("pwrite", "fsync", "fdatasync", "ftruncate", "rename", "replace", "link", "symlink"),
    *("unlink", "mkdir", "rmdir"),
)
"""Functions of `os` by which a program changes a disk; the methods of `Path` call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One run of a program."""

    name: Literal["ops", "download"]
    arguments: tuple[str, ...]
    log: Path
    """Takes what it prints."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    kill_at: int | None = None
    """The write at which it kills itself, counted from 1; None: never."""
    kill_after: bool = False
    """Whether once the write is done; False: before it."""
    user: int | None = None
    """The user and group that it becomes; None: that of the tests."""

    def start(self) -> ForkServerProcess:
        process = CONTEXT.Process(target=_main, args=(self,))
        process.start()
        return process

    def finish(self) -> int:
        """Run to its end; return the exit code, -9 where it killed itself."""
        process = self.start()
        process.join(90)
        code = process.exitcode
        assert code is not None, self.log.read_text()
        process.close()
        return code


def _main(program: Program) -> None:
    os.environ.clear()
    os.environ.update(program.environment)
    with program.log.open("w", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        if program.kill_at is not None:
            _kill_at_write(program.kill_at, after=program.kill_after)
        if program.user is not None:
            for encoding in ("ascii", "idna"):
                codecs.lookup(encoding)  # That user may not be able to read Python's files.
            os.setgroups([])
            os.setgid(program.user)
            os.setuid(program.user)
        run = cli.main if program.name == "ops" else download_main
        sys.exit(run(list(program.arguments)))


def _kill_at_write(number: int, *, after: bool) -> None:
    lock, writes = threading.Lock(), 0

    def counted(write: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal writes
            with lock:
                writes += 1
                is_now = writes == number
            if is_now and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = write(*arguments, **options)
            if is_now:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call

    for name in _WRITES:
        setattr(os, name, counted(getattr(os, name)))
