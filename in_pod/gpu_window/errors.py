"""Errors of a window."""

from __future__ import annotations

from .contract import REMAINS


class WindowError(Exception):
    """A window failed; the message is one line, with the exit code."""

    def __init__(self, message: str, code: int = REMAINS) -> None:
        super().__init__(message)
        self.code = code


class UnansweredError(WindowError):
    """A server did not answer; the Lease still records what to restore."""


class RescaledError(WindowError):
    """Somebody else scaled a workload, and the window must leave it as it is."""


class LostError(WindowError):
    """The Lease has another holder or is deleted: this process must not restore anything."""
