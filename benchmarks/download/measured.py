"""Run a command and measure its cost: wall time, CPU time and peak memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a command."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    """Of the process and its children together."""
    code: int


def measured(
    command: list[str],
    env: Mapping[str, str],
    *,
    synced: bool = True,
    kill_when: Callable[[], bool] | None = None,
) -> Cost:
    """Run a command.

    Args:
        command: Its words.
        env: Variables in addition to this process's.
        synced: Whether the time ends when everything is on disk (default: yes).
        kill_when: When to send SIGKILL (default: never).
    """
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak_kib = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak_kib = max(peak_kib, _tree_kib(process.pid))
        if kill_when is not None and kill_when():
            process.kill()
        time.sleep(0.02)
    _, state, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(state)
    if synced:
        os.sync()
    return Cost(
        wall_s=time.monotonic() - started,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=peak_kib / 1024,
        code=process.returncode,
    )


def _tree_kib(pid: int) -> int:
    """Add up the peak memory of a process and its children so far, in KiB.

    Not ru_maxrss, because a child's starts at its parent's value.
    """
    with contextlib.suppress(psutil.Error):
        family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        return sum(_peak_kib(member) for member in family)
    return 0


def _peak_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "")
        return int(line.split()[1]) if line else 0
    return 0
