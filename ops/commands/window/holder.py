"""The holder of a window's Lease: a user, a machine and a process."""

from __future__ import annotations

import getpass
import re
import socket
from dataclasses import dataclass

import psutil

_HOLDER = re.compile(r"[^@]*@(?P<host>[^/]+)/(?P<pid>\d{1,10})-(?P<started_s>\d{1,12})/.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderProcess:
    """A process of this machine that holds, or held, a window."""

    pid: int
    runs: bool


def this_holder() -> str:
    """Return user, machine and process: `me@laptop/4711-1764441000`, pid and start of the process.

    The start tells the process from a later one with the same number.
    """
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    process = psutil.Process()
    return f"{user}@{socket.gethostname()}/{process.pid}-{process.create_time():.0f}"


def process_of(holder: str) -> HolderProcess | None:
    """Look for a holder's process; None if it is of another machine or an older version."""
    found = _HOLDER.fullmatch(holder)
    if found is None or found["host"] != socket.gethostname():
        return None
    pid = int(found["pid"])
    try:
        started_s = psutil.Process(pid).create_time()
    except (psutil.Error, OverflowError):
        return HolderProcess(pid=pid, runs=False)
    # The kernel counts from the boot, whose time is rounded to a second.
    return HolderProcess(pid=pid, runs=abs(started_s - int(found["started_s"])) < 2)
