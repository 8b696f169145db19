"""A small HTTP client: one request, one answer, every mishap one line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from ops.endpoint.api_key import KEY_VARIABLE, authorization
from ops.endpoint.errors import CheckError
from ops.endpoint.whole_answer import read_whole
from ops.errors import OpsError, one_line, reason_of

CHAT = "/v1/chat/completions"
_CONNECT_TIMEOUT_S = 5
_LARGEST_ANSWER_BYTES = 8 << 20
_EXCERPT = 4000
"""More than is shown in the end: a key is taken out before the line is cut."""
_KEY = re.compile(r"[\x21-\x7e]+")


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
        try:
            found = at(json.loads(self.text), "error")
        except (ValueError, RecursionError):
            return ""
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
        self.key = key
        if key and not _KEY.fullmatch(key):
            raise OpsError(
                f"{KEY_VARIABLE} holds a blank, a line end or a letter outside ASCII, which no "
                "header can carry; set it without"
            )
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
        key = self.key if key is None else key
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
        key = self.key if key is None else key
        return self._ask("POST", path, body, timeout_s=timeout_s, key=key)

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, timeout_s: float, key: str
    ) -> Answer:
        deadline = time.monotonic() + timeout_s
        connect_s = min(timeout_s, _CONNECT_TIMEOUT_S)
        with (
            self._one_line(timeout_s),
            self._client.stream(
                method,
                f"{self.url}{path}",
                json=body,
                headers=authorization(key),
                timeout=httpx2.Timeout(timeout_s, connect=connect_s),
            ) as response,
        ):
            content = read_whole(response, deadline=deadline, most_bytes=_LARGEST_ANSWER_BYTES)
            if len(content) > _LARGEST_ANSWER_BYTES:
                raise CheckError(f"answers more than {_LARGEST_ANSWER_BYTES >> 20} MiB")
            media_type = response.headers.get("content-type", "").partition(";")[0].strip()
            return Answer(
                status=response.status_code,
                media_type=one_line(media_type),
                text=content.decode("utf-8", errors="replace"),
            )

    @contextmanager
    def _one_line(self, timeout_s: float) -> Iterator[None]:
        try:
            yield
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


def base_url(url: str) -> str:
    """Check an endpoint's address and bring it into one form.

    Args:
        url: As typed, such as `http://127.0.0.1:8080/v1/`.

    Returns:
        `http://127.0.0.1:8080`.

    Raises:
        OpsError: when it has no scheme or no host, or holds a login or a query.
    """
    allowed = "allowed: http(s)://host[:port], without login"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise OpsError(f"--url is {url!r} ({error}); {allowed}") from error
    if "@" in url:
        # Not shown: what is before the @ may be a password.
        raise OpsError(f"--url holds a login; {allowed}; the key goes into {KEY_VARIABLE}")
    if parts.scheme not in ("http", "https") or not host or port == 0:
        hint = "" if "://" in url else f"; write http://{url.strip().lstrip('/')}"
        raise OpsError(f"--url is {url!r}; {allowed}{hint}")
    path = re.sub(r"/+(v1/*)?$", "", parts.path)
    if parts.query or parts.fragment or re.search(r"\s", parts.netloc + path):
        raise OpsError(f"--url is {url!r}; {allowed}")
    base = f"{parts.scheme}://{parts.netloc}{path}"
    try:
        httpx2.URL(base)
    except (httpx2.InvalidURL, ValueError) as error:
        raise OpsError(f"--url is {url!r} ({one_line(str(error))}); {allowed}") from error
    return base


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
