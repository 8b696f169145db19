"""Why a download ends, or a connection starts over."""

from __future__ import annotations


class DownloadError(Exception):
    """Why the run ends, in one line, with the exit code that says whether a retry can help."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the exit code beside the message."""
        super().__init__(message)
        self.code = code


class RetryError(Exception):
    """A connection failed in a way that another one may not; `wait_s` is what the server asks."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
