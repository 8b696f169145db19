"""Find every process that a command started, whatever has become of its parents."""

from __future__ import annotations

import uuid
from contextlib import suppress

import psutil

_VARIABLE = "LLAMA_CPP_INFRA_TEST_MARK"
WATCHER = "read -r"
"""A word of the watcher that `ops.machine.parent` starts."""


class Mark:
    """A variable in the environment of a command, which its children inherit."""

    def __init__(self) -> None:
        self.environment = {_VARIABLE: uuid.uuid4().hex}

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Those that run with the mark and have a word in their first arguments."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(_VARIABLE) == self.environment[_VARIABLE] and any(
                    word in argument for argument in process.cmdline()[:3]
                ):
                    found.append(process)
        return found
