"""The HTTP client of an Immich server; errors are one line and never show the key."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2

from ops.endpoint.api_key import check_key
from ops.endpoint.client import at, base_url
from ops.errors import OpsError, one_line, reason_of
from ops.machine.http_client import http_client
from ops.machine.whole_answer import read_whole

KEY_VARIABLE = "IMMICH_API_KEY"
"""The environment variable that holds the key; an option would show it in the process list."""

_ATTEMPTS = 4
_PAUSES_S = (0.5, 1.0, 2.0)
_LONGEST_PAUSE_S = 30.0
_LARGEST_ANSWER_BYTES = 64 << 20

Verb = Literal["GET", "POST", "PUT", "DELETE"]


class ImmichError(OpsError):
    """Immich refuses one request; other requests may still succeed."""

    def __init__(self, status: int, text: str) -> None:
        """Store status and text.

        Args:
            status: The HTTP status.
            text: One line for the operator.
        """
        super().__init__(text)
        self.status = status


class GoneError(ImmichError):
    """The object no longer exists, or this key may not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete answer with status 2xx."""

    content: bytes
    media_type: str


class ImmichHttp:
    """A client of one Immich server that several threads may share.

    It ignores the environment's proxies, which would see the key and private photos, and follows
    no redirect, which would send the key to an address that nobody named.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str,
        timeout_s: float = 30,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Check address and key; connect with the first request.

        Args:
            url: The address as in the browser, `https://photos.example`; a trailing `/api` is
                removed.
            key: The API key.
            timeout_s: Seconds for one complete answer (default: 30).
            pause: Waits for so many seconds (default: time.sleep).

        Raises:
            OpsError: when the address or the key is invalid; the error does not show the key.
        """
        self.url = server_url(url)
        self._key = key
        self._timeout_s = timeout_s
        self._pause = pause
        self._client = http_client(
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 10)),
            headers={"x-api-key": check_key(key, KEY_VARIABLE)},
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(
        self,
        verb: Verb,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        repeatable: bool = True,
        accept: str = "application/json",
    ) -> Reply:
        """Send one request, and retry it up to three times where waiting may help.

        Args:
            verb: The HTTP method.
            path: The path below /api, with its leading slash.
            body: The JSON document (default: none).
            repeatable: Whether the request may be retried (default: yes).
            accept: The media types of the answer (default: application/json).

        Raises:
            GoneError: when Immich does not have the object.
            ImmichError: when Immich refuses this request.
            OpsError: when no complete answer arrives, Immich rejects the key, or SSL_CERT_FILE is
                invalid.
        """
        attempts = _ATTEMPTS if repeatable else 1
        for attempt in range(1, attempts + 1):
            retry_after_s = 0.0
            try:
                response, content = self._send(verb, path, body, accept)
            except httpx2.HTTPError as error:
                reason = reason_of(error, limit=240)
                failure = OpsError(f"no complete answer from Immich at {self.url} ({reason})")
                failure.__cause__ = error
            else:
                if response.is_success:
                    media_type = response.headers.get("content-type", "").partition(";")[0]
                    return Reply(content=content, media_type=one_line(media_type))
                failure = self._refusal(response, content, verb, path)
                if response.status_code != 429 and response.status_code < 500:
                    raise failure
                retry_after_s = _seconds(response.headers.get("retry-after", ""))
            if attempt == attempts:
                raise failure
            self._pause(max(_PAUSES_S[attempt - 1], retry_after_s))
        raise AssertionError("the last attempt must return or raise")

    def document(self, verb: Verb, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one repeatable request and return the parsed JSON, or None for an empty answer.

        Raises:
            OpsError: as `ask`, and when the answer is not JSON.
        """
        return self.read(self.ask(verb, path, body))

    def read(self, reply: Reply) -> Any:
        """Return the parsed JSON of an answer, or None for an empty answer.

        Raises:
            OpsError: when the answer is not JSON, so that another server than Immich answers.
        """
        if not reply.content:
            return None
        try:
            return json.loads(reply.content)
        except (ValueError, RecursionError) as error:
            media_type = reply.media_type or "no media type"
            raise OpsError(
                f"the answer of {self.url} is not JSON ({media_type}); check that Immich answers "
                "there, without a login page before it"
            ) from error

    def _send(
        self, verb: Verb, path: str, body: Mapping[str, Any] | None, accept: str
    ) -> tuple[httpx2.Response, bytes]:
        deadline = time.monotonic() + self._timeout_s
        with self._client.stream(
            verb, f"{self.url}/api{path}", json=body, headers={"Accept": accept}
        ) as response:
            content = read_whole(
                response,
                deadline=deadline,
                most_bytes=_LARGEST_ANSWER_BYTES,
                late=f"more than {self._timeout_s:g} s",
            )
            if len(content) > _LARGEST_ANSWER_BYTES:
                raise OpsError(
                    f"Immich's answer to {path} is larger than {_LARGEST_ANSWER_BYTES >> 20} MiB"
                )
            return response, content

    def _refusal(
        self, response: httpx2.Response, content: bytes, verb: Verb, path: str
    ) -> ImmichError:
        status = response.status_code
        reason = self._message(content)
        if 300 <= status < 400:
            to = one_line(response.headers.get("location", "elsewhere"))
            return ImmichError(status, f"{self.url} redirects to {to}; use that address")
        if status == 401:
            return ImmichError(
                status,
                f"Immich rejects the key in {KEY_VARIABLE} ({reason}). It may have expired; "
                "create one under Account Settings > API Keys",
            )
        if status == 403:
            return ImmichError(
                status,
                f"the key in {KEY_VARIABLE} lacks the permission for {verb} {path} ({reason}). "
                "Add it under Account Settings > API Keys",
            )
        text = f"Immich answers {status} to {verb} {path} ({reason})"
        # Immich answers 400 for a deleted object and for one that belongs to another user.
        if status == 404 or (status == 400 and "not found" in reason.lower()):
            return GoneError(status, text)
        return ImmichError(status, text)

    def _message(self, content: bytes) -> str:
        """Return an error's message with the reasons that 2.x lists in it, and 3.x beside it."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            text = content[:400].decode("utf-8", errors="replace")
        else:
            message, issues = at(document, "message"), at(document, "errors")
            if isinstance(message, list):
                message, issues = None, message
            reasons = [] if message is None else [message]
            reasons += issues if isinstance(issues, list) else []
            text = ", ".join(map(_issue, reasons))
        return one_line(text.replace(self._key, "***")) or "no reason given"


def api_key() -> str:
    """Return the key from the environment.

    Raises:
        OpsError: when the variable is not set.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise OpsError(
            f"{KEY_VARIABLE} is not set; create a key in Immich under Account Settings > API Keys "
            "with album.read, asset.read and asset.view"
        )
    return key


def server_url(url: str) -> str:
    """Return an Immich server's address in its normal form.

    Args:
        url: The address as typed, such as `https://photos.example/api/`.

    Raises:
        OpsError: when scheme or host is missing, or the address contains a login or a query.
    """
    return base_url(
        url, option="--immich", scheme="https", suffix="api", key_variable=KEY_VARIABLE
    )


def _issue(issue: object) -> str:
    """Return one reason of a validation error: a string, or zod's path and message."""
    path, message = at(issue, "path"), at(issue, "message")
    if not isinstance(message, str):
        return issue if isinstance(issue, str) else json.dumps(issue)
    field = ".".join(map(str, path)) if isinstance(path, list) else ""
    return f"{field}: {message}" if field else message


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_PAUSE_S) if re.fullmatch(r"\d{1,6}", text) else 0.0
