"""A run inside a GPU window: the same command once more, where the endpoint is then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence


def in_window(window_s: int, arguments: Sequence[str]) -> int:
    """Run a command of `python -m ops` inside a GPU window, and return its exit code.

    Args:
        window_s: How long the window is open.
        arguments: What follows `python -m ops`; it finds the endpoint in LLAMA_SWAP_URL.
    """
    ops = [sys.executable, "-m", "ops"]
    command = [*ops, "window", "--for", f"{window_s}s", "--", *ops, *arguments]
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except BaseException as ended:
        # Ctrl-C has reached the window too. It gives the card back before it ends, and only then
        # may this command end.
        if not isinstance(ended, KeyboardInterrupt):
            process.terminate()
        process.wait()
        raise
