"""Answers of the gateway itself: an error that says what to do, in the client's format."""

from __future__ import annotations

import json
from typing import Any

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}
_MOST_RETRY_AFTER_S = 60
"""Above it OpenAI's SDK for Node and Vercel's retry after a second or two instead."""


class RefusedError(Exception):
    """A request that the gateway does not pass on.

    Args:
        status: The HTTP status.
        code: A word for programs, such as `card_in_use`.
        message: One line for people.
        retry_after_s: Seconds after which a retry may help (default: none helps).
        facts: Further fields for programs, such as MiB needed and free (default: none).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.facts = facts or {}

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        headers = {"content-type": "application/json"}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(min(self.retry_after_s, _MOST_RETRY_AFTER_S))
        return headers

    def body(self, path: str) -> bytes:
        """Return the answer in the format of a path's clients.

        Args:
            path: The request's path; below `/v1/messages` the clients are Anthropic's.
        """
        if path.startswith("/v1/messages"):
            kind = _ANTHROPIC_TYPES.get(self.status, "overloaded_error")
            error = {"type": kind, "message": str(self), "code": self.code, **self.facts}
            return json.dumps({"type": "error", "error": error}).encode()
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": str(self), "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": {**error, **self.facts}}).encode()
