"""Errors that end a run, and errors that a connection retries."""

from __future__ import annotations


class DownloadError(Exception):
    """Ends the run; the message is one line, and the exit code tells whether a retry can help."""

    def __init__(self, code: int, message: str) -> None:
        """Store the exit code beside the message."""
        super().__init__(message)
        self.code = code


class RetryError(Exception):
    """A connection failed and may be retried, after `wait_s` if the server requests a pause."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
