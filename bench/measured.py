"""Run a command and say what it cost: wall time, CPU time and peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a command took."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    """Of its own process; what it starts is not in it."""
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
        env: Variables beside this process's own.
        synced: Whether the time ends when all that was written is on the disk.
        kill_when: When to send SIGKILL; left out: never.
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
        # Not ru_maxrss: that of a child starts with what its parent had.
        status = Path(f"/proc/{process.pid}/status").read_text()
        line = next((each for each in status.splitlines() if each.startswith("VmHWM")), "")
        peak_kib = max(peak_kib, int(line.split()[1]) if line else 0)
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
