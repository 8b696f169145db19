"""The interface to an API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Document = dict[str, Any]
Say = Callable[[str], None]


class Api(Protocol):
    """A connection to an API server, without retries."""

    def request(
        self, method: str, path: str, body: Document | None = None
    ) -> tuple[int, Document]:
        """Send a request, PATCH as a JSON merge patch; ConnectionError if no answer comes."""

    def now(self) -> float:
        """Return the API server's time in seconds since 1970."""
