"""Find the processes of a directory: those that should have ended, and where they listen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil


def running_in(folder: Path) -> list[str]:
    """Return the command lines of this machine's processes that name a directory."""
    return [" ".join(_words(process)) for process in _processes(folder)]


def listening_in(folder: Path) -> dict[str, set[str]]:
    """Return the addresses where the processes of a directory listen, by the program's name."""
    found: dict[str, set[str]] = {}
    for process in _processes(folder):
        for socket in process.net_connections(kind="inet"):
            if not socket.raddr and socket.laddr:
                found.setdefault(process.name(), set()).add(socket.laddr.ip)
    return found


def _processes(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if any(str(folder) in word for word in _words(process)) and process.pid != os.getpid():
            yield process


def _words(process: psutil.Process) -> list[str]:
    return [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
