"""Why a window cannot go on."""

from __future__ import annotations

from .contract import REMAINS


class WindowError(Exception):
    """What cannot go on, in one line, with the exit code that fits."""

    def __init__(self, message: str, code: int = REMAINS) -> None:
        super().__init__(message)
        self.code = code


class UnansweredError(WindowError):
    """No answer came for a while; nothing was given up, the Lease says what to put back."""


class LostError(WindowError):
    """Another one has the Lease now, or nobody: whatever is put back, it is not for us to do."""
