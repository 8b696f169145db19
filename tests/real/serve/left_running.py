"""Find processes that should have ended."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def running_in(folder: Path) -> list[str]:
    """Return the command lines of this machine's processes that name a directory."""
    commands = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if any(str(folder) in word for word in words) and process.pid != os.getpid():
            commands.append(" ".join(words))
    return commands
