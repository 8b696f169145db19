"""The compilers that may run at once on this machine, shared by the builds of one command."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_JOB_GIB = 1.5
"""A C++ file that unites twelve, or a large Go package; a link takes as much."""


class Jobs:
    """Divides the jobs between a Go build, whose number is fixed at its start, and ninja's.

    Ninja takes a job from a pipe before it starts a compiler, as GNU make does (its jobserver).
    So it compiles one file at a time beside a Go build, and as many as the machine can after it.
    """

    def __init__(self, most: int | None = None) -> None:
        """Share `most` jobs (default: one more than cores, if the free memory allows it)."""
        cores = os.cpu_count() or 1
        free_gib = psutil.virtual_memory().available / 2**30
        self.most = most or max(1, min(cores + 1, int(free_gib / _JOB_GIB)))
        self._one_go = threading.Lock()
        self._balancing = threading.Lock()
        self._go_jobs = 0
        self._pipe: int | None = None
        self._issued = 0

    def go_turn(self, timeout_s: float) -> bool:
        """Wait until no other Go build runs; several would compile the same packages twice.

        Returns:
            Whether the turn is taken; then `go` must be entered.
        """
        return self._one_go.acquire(timeout=timeout_s)

    @contextmanager
    def go(self) -> Iterator[int]:
        """Yield the number of jobs of a Go build, after `go_turn`."""
        try:
            self._go_jobs = max(1, self.most - 1)
            self.balance()
            yield self._go_jobs
        finally:
            self._go_jobs = 0
            self.balance()
            self._one_go.release()

    @contextmanager
    def ninja(self, folder: Path) -> Iterator[dict[str, str]]:
        """Yield the environment by which ninja takes the jobs that a Go build leaves.

        Args:
            folder: A directory for the pipe.
        """
        path = folder / "jobs"
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        self._pipe, self._issued = os.open(path, os.O_RDWR | os.O_NONBLOCK), 0
        self.balance()
        try:
            yield {"MAKEFLAGS": f"-j{self.most} --jobserver-auth=fifo:{path}"}
        finally:
            with self._balancing:
                os.close(self._pipe)
                self._pipe = None
            path.unlink(missing_ok=True)

    def balance(self) -> None:
        """Offer ninja the jobs that are free now, or take back those that it returned."""
        with self._balancing:
            if self._pipe is None:
                return
            # Ninja has one job of its own, which is not in the pipe.
            wanted = max(0, self.most - 1 - self._go_jobs)
            try:
                while self._issued < wanted:
                    os.write(self._pipe, b"+")
                    self._issued += 1
                while self._issued > wanted:
                    os.read(self._pipe, 1)
                    self._issued -= 1
            except BlockingIOError:
                return  # Ninja still uses them.
