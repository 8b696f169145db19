"""The HTTP client of an endpoint: one request, one answer, and errors of one line."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from ops.endpoint.api_key import KEY_VARIABLE, authorization, check_key
from ops.endpoint.errors import CheckError
from ops.errors import OpsError, one_line, reason_of
from ops.machine.http_client import http_client
from ops.machine.whole_answer import read_whole

CHAT = "/v1/chat/completions"
_CONNECT_TIMEOUT_S = 5
_LARGEST_ANSWER_BYTES = 8 << 20
_PAUSE_S = 0.3
"""A stream that sends nothing for so long has sent what it had stored."""
_LONGEST_STREAM_S = 3
_STORED_S = 10
"""Seconds in which a stream has to begin with what it had stored."""
_EXCERPT = 4000
"""Characters of an answer that are kept; more than is shown, to redact a key before the cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer of the endpoint."""

    status: int
    media_type: str
    text: str

    @property
    def refuses_key(self) -> bool:
        """Whether the endpoint rejected the request because of its key or the missing key.

        Raises:
            CheckError: when the answer does not show it: the server failed, is overloaded, or
                names another address.
        """
        if self.status == 429 or self.status >= 500 or 300 <= self.status < 400:
            raise CheckError(f"cannot tell whether the key is accepted: {self.failure()}")
        return self.status in (401, 403)

    def document(self) -> Any:
        """Return the parsed JSON of an answer with status 200.

        Raises:
            CheckError: when the status is not 200, with the answer's error, or the text is not
                JSON.
        """
        if self.status != 200:
            raise CheckError(self.failure())
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            media_type = self.media_type or "no media type"
            raise CheckError(
                f"the answer is not JSON ({media_type}): {excerpt(self.text)}"
            ) from error

    def failure(self) -> str:
        """Return status and error in one line."""
        return f"status {self.status}: {self.error() or excerpt(self.text) or 'empty answer'}"

    def error(self) -> str:
        """Return the message of an error: llama-swap v250 sends a string, later ones an object."""
        error = at(parsed(self.text), "error")
        message = error if isinstance(error, str) else at(error, "message")
        return excerpt(message) if isinstance(message, str) else ""


class Endpoint:
    """A client that sends one request at a time.

    It ignores the environment's proxies, which could read the key, never retries, and closes each
    connection after its answer: an idle connection would hold a thread of llama-server.
    """

    def __init__(self, url: str, *, key: str = "") -> None:
        """Check address and key; connect with the first request.

        Args:
            url: `http://host:port`; a trailing `/` or `/v1` is removed.
            key: The API key (default: none).

        Raises:
            OpsError: when the address, the key or SSL_CERT_FILE is invalid; the error does not
                show the key.
        """
        self.url = base_url(url)
        self.key = check_key(key, KEY_VARIABLE) if key else ""
        self._client = http_client(keeps_connections=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def get(self, path: str, *, timeout_s: float, key: str | None = None) -> Answer:
        """Send a GET request.

        Args:
            path: The path, with its leading slash.
            timeout_s: Seconds until the answer must be complete.
            key: The key to send, "" for none (default: the client's key).

        Raises:
            CheckError: when no complete answer arrives in time.
        """
        return self._ask("GET", path, None, timeout_s=timeout_s, key=key)

    def post(
        self, path: str, body: Mapping[str, Any], *, timeout_s: float, key: str | None = None
    ) -> Answer:
        """Send a POST request with a JSON body.

        Args:
            path: The path, with its leading slash.
            body: The JSON document.
            timeout_s: Seconds until the answer must be complete.
            key: The key to send, "" for none (default: the client's key).

        Raises:
            CheckError: when no complete answer arrives in time.
        """
        return self._ask("POST", path, body, timeout_s=timeout_s, key=key)

    def recent(self, path: str, *, timeout_s: float) -> str:
        """Return what a stream without end sends before its first pause, such as a stored log.

        Args:
            path: The path, with its leading slash.
            timeout_s: Seconds until its first byte, at most ten: what is stored comes at once,
                unless a proxy waits for an end that never comes.

        Raises:
            CheckError: when nothing arrives in time, or the answer is an error.
        """
        content = bytearray()
        timeout_s = min(timeout_s, _STORED_S)
        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S))
        try:
            with self._client.stream(
                "GET", f"{self.url}{path}", headers=authorization(self.key), timeout=timeout
            ) as response:
                if response.status_code != 200:
                    raise CheckError(f"status {response.status_code}")
                # The transport reads this timeout when the body begins.
                response.request.extensions["timeout"]["read"] = _PAUSE_S
                deadline = time.monotonic() + _LONGEST_STREAM_S
                with contextlib.suppress(httpx2.ReadTimeout):
                    for part in response.iter_bytes():
                        content += part
                        if time.monotonic() > deadline or len(content) > _LARGEST_ANSWER_BYTES:
                            break
        except httpx2.TimeoutException as error:
            raise CheckError(f"no answer within {timeout_s:g} s") from error
        except httpx2.HTTPError as error:
            raise CheckError(f"the connection broke ({reason_of(error, limit=240)})") from error
        return content.decode("utf-8", errors="replace")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        timeout_s: float,
        key: str | None,
    ) -> Answer:
        deadline = time.monotonic() + timeout_s
        try:
            with self._client.stream(
                method,
                f"{self.url}{path}",
                json=body,
                headers=authorization(self.key if key is None else key),
                timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
            ) as response:
                content = read_whole(response, deadline=deadline, most_bytes=_LARGEST_ANSWER_BYTES)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            reason = one_line(str(error)) or "the connection timed out"
            raise CheckError(
                f"cannot connect to {self.url} ({reason})", ends="endpoint"
            ) from error
        except httpx2.TimeoutException as error:
            raise CheckError(f"no complete answer within {timeout_s:g} s", ends="model") from error
        except httpx2.HTTPError as error:
            reason = reason_of(error, limit=240)
            raise CheckError(
                f"the connection broke before the answer was complete ({reason})"
            ) from error
        if len(content) > _LARGEST_ANSWER_BYTES:
            raise CheckError(f"the answer is larger than {_LARGEST_ANSWER_BYTES >> 20} MiB")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        return Answer(
            status=response.status_code,
            media_type=one_line(media_type),
            text=content.decode("utf-8", errors="replace"),
        )


def base_url(
    url: str,
    *,
    option: str = "--url",
    scheme: str = "http",
    suffix: str = "v1",
    key_variable: str = KEY_VARIABLE,
) -> str:
    """Return a server's address in its normal form, such as `http://127.0.0.1:8080`.

    Args:
        url: The address as typed, such as `http://127.0.0.1:8080/v1/`.
        option: The option that the error names (default: `--url`).
        scheme: The scheme that the error proposes where it is missing (default: http).
        suffix: The trailing path that is removed (default: v1).
        key_variable: The variable for the key that the error names (default: LLAMA_API_KEY).

    Raises:
        OpsError: when scheme or host is missing, or the address contains a login or a query.
    """
    expected = "expected http(s)://host[:port] without a login"
    if "@" in url:
        # The text before the @ may be a password, so the error does not show it.
        raise OpsError(f"{option} contains a login; {expected}. Put the key into {key_variable}")
    typed = one_line(url)
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        path = re.sub(rf"/+({suffix}/*)?$", "", parts.path)
        base = f"{parts.scheme}://{parts.netloc}{path}"
        if valid:
            httpx2.URL(base)
    except (httpx2.InvalidURL, ValueError) as error:
        raise OpsError(f"{option} is {typed!r} ({one_line(str(error))}); {expected}") from error
    if not valid or parts.query or parts.fragment or re.search(r"\s", parts.netloc + path):
        hint = "" if "://" in url else f". Write {scheme}://{typed.lstrip('/')}"
        raise OpsError(f"{option} is {typed!r}; {expected}{hint}")
    return base


def parsed(text: str) -> Any:
    """Return the parsed JSON, or None if the text is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def at(document: object, *path: str | int) -> Any:
    """Return the value under keys and indices of any document, or None if a step is missing."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and len(document) > step:
            document = document[step]
        else:
            return None
    return document


def excerpt(value: object) -> str:
    """Return the beginning of an answer in one line, for an error."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return one_line(text[:_EXCERPT], limit=_EXCERPT)
