"""What a test looks for when all should have ended."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def running_in(folder: Path) -> list[str]:
    """The programs of this machine that were told to work in a directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if any(str(folder) in word for word in words) and process.pid != os.getpid():
            found.append(" ".join(words))
    return found
