"""Run llama-server as far as its log is wanted, within bounds."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import psutil

from llama_swap_config.front_ends.server_command import ENVIRONMENT
from ops.errors import OpsError
from ops.machine.parent import ended_with_this

_TIMEOUT_S = 60
_MOST_BYTES = 4 * 2**30
"""Memory of one llama-server that only reads headers: ten times what a vocabulary of 262,144
takes. A hostile header could ask for more."""


def run_until(command: Sequence[str], is_over: Callable[[str], bool]) -> None:
    """Run llama-server until a line of its log is the last one wanted, then kill it.

    Args:
        command: The program and its arguments.
        is_over: Reads a line; returns whether it is the last one wanted.

    Raises:
        OpsError: when it takes more than a minute or 4 GiB of memory.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Nothing of the operator's environment changes an answer.
        env={"PATH": "/usr/bin:/bin", **ENVIRONMENT},
    ) as process:
        watch = _Watch(process)
        try:
            lines: Iterable[str] = process.stdout or ()
            with ended_with_this(process.pid):
                any(is_over(line) for line in lines)
        finally:
            process.kill()
            watch.join()
    if watch.reason:
        raise OpsError(f"llama-server takes {watch.reason} to read its headers")


class _Watch(threading.Thread):
    """Kill a process that takes too long or too much memory."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.reason = ""
        self.start()

    def run(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                self.reason = f"more than {_TIMEOUT_S} s"
            elif _resident_bytes(self._process.pid) > _MOST_BYTES:
                self.reason = f"more than {_MOST_BYTES // 2**30} GiB of memory"
            else:
                time.sleep(0.02)
                continue
            self._process.kill()
            return


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:  # It has ended meanwhile.
        return 0
