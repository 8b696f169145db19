"""A small HTTP client: one request, one answer, every mishap one line."""

from __future__ import annotations

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
from ops.endpoint.whole_answer import read_whole
from ops.errors import OpsError, one_line, reason_of

CHAT = "/v1/chat/completions"
_CONNECT_TIMEOUT_S = 5
_LARGEST_ANSWER_BYTES = 8 << 20
_EXCERPT = 4000
"""More than is shown in the end: a key is taken out before the line is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the endpoint answered, whole."""

    status: int
    media_type: str
    text: str

    @property
    def refuses_key(self) -> bool:
        """Whether the key that was sent, or that none was sent, is why nothing was answered.

        Raises:
            CheckError: when the answer does not tell: the server failed, or has too much to do.
        """
        if self.status == 429 or self.status >= 500:
            raise CheckError(f"whether it takes the key cannot be told: {self.failure()}")
        return self.status in (401, 403)

    def document(self) -> Any:
        """Read the JSON of an answer with status 200.

        Raises:
            CheckError: for another status, with the error that the answer holds; for no JSON.
        """
        if self.status != 200:
            raise CheckError(self.failure())
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            what = self.media_type or "something"
            raise CheckError(f"answers {what}, no JSON: {excerpt(self.text)}") from error

    def failure(self) -> str:
        """Say status and error in one line."""
        return f"status {self.status}: {self.error() or excerpt(self.text) or 'an empty answer'}"

    def error(self) -> str:
        """The message of an error: a string of llama-swap v250, an object of later ones."""
        found = at(parsed(self.text), "error")
        message = found if isinstance(found, str) else at(found, "message")
        return excerpt(message) if isinstance(message, str) else ""


class Endpoint:
    """An endpoint that is asked one thing at a time.

    No proxy of the environment is used, nothing is asked twice, and no connection outlives its
    answer: an idle one would hold a thread of llama-server.
    """

    def __init__(self, url: str, *, key: str = "") -> None:
        """Connect lazily: nothing is asked yet.

        Args:
            url: `http://host:port`; `/` or `/v1` at its end is taken off.
            key: The API key; empty: none is sent.

        Raises:
            OpsError: for an address or a key that cannot be used; the key is not shown.
        """
        self.url = base_url(url)
        self.key = check_key(key, KEY_VARIABLE) if key else ""
        self._client = httpx2.Client(
            trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def get(self, path: str, *, timeout_s: float, key: str | None = None) -> Answer:
        """Ask with GET.

        Args:
            path: Beginning with a slash.
            timeout_s: Seconds until the whole answer has to be there.
            key: Another key than the endpoint's, "" for none (default: the endpoint's).

        Raises:
            CheckError: when no whole answer comes within the time.
        """
        return self._ask("GET", path, None, timeout_s=timeout_s, key=key)

    def post(
        self, path: str, body: Mapping[str, Any], *, timeout_s: float, key: str | None = None
    ) -> Answer:
        """Ask with POST and JSON.

        Args:
            path: Beginning with a slash.
            body: The document.
            timeout_s: Seconds until the whole answer has to be there.
            key: Another key than the endpoint's, "" for none; left out: the endpoint's.

        Raises:
            CheckError: when no whole answer comes within the time.
        """
        return self._ask("POST", path, body, timeout_s=timeout_s, key=key)

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
            reason = one_line(str(error)) or "no answer to the connection"
            raise CheckError(
                f"cannot connect to {self.url} ({reason})", ends="endpoint"
            ) from error
        except httpx2.TimeoutException as error:
            raise CheckError(f"no whole answer within {timeout_s:g} s", ends="model") from error
        except httpx2.HTTPError as error:
            reason = reason_of(error, limit=240)
            raise CheckError(f"the connection broke before the answer ({reason})") from error
        if len(content) > _LARGEST_ANSWER_BYTES:
            raise CheckError(f"answers more than {_LARGEST_ANSWER_BYTES >> 20} MiB")
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
    """Check a server's address and bring it into one form.

    Args:
        url: As typed, such as `http://127.0.0.1:8080/v1/`.
        option: What it was typed behind (default: `--url`).
        scheme: What to write before an address without one (default: http).
        suffix: The path that is taken off at its end (default: v1).
        key_variable: Where the key goes instead (default: the endpoint's).

    Returns:
        `http://127.0.0.1:8080`.

    Raises:
        OpsError: when it has no scheme or no host, or holds a login or a query.
    """
    allowed = "allowed: http(s)://host[:port], without login"
    if "@" in url:
        # Not shown: what is before the @ may be a password.
        raise OpsError(f"{option} holds a login; {allowed}; the key goes into {key_variable}")
    typed = one_line(url)
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        path = re.sub(rf"/+({suffix}/*)?$", "", parts.path)
        base = f"{parts.scheme}://{parts.netloc}{path}"
        if valid:
            httpx2.URL(base)
    except (httpx2.InvalidURL, ValueError) as error:
        raise OpsError(f"{option} is {typed!r} ({one_line(str(error))}); {allowed}") from error
    if not valid or parts.query or parts.fragment or re.search(r"\s", parts.netloc + path):
        hint = "" if "://" in url else f"; write {scheme}://{typed.lstrip('/')}"
        raise OpsError(f"{option} is {typed!r}; {allowed}{hint}")
    return base


def parsed(text: str) -> Any:
    """Read JSON; None where the text is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def at(document: object, *path: str | int) -> Any:
    """Follow keys and indices into a document of unknown shape; None where they lead nowhere."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and len(document) > step:
            document = document[step]
        else:
            return None
    return document


def excerpt(value: object) -> str:
    """The beginning of an answer, for an error."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return one_line(text[:_EXCERPT], limit=_EXCERPT)
