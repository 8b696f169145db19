"""Requests to an Immich server: one answer or one line that says why not; the key is not shown."""

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
from ops.endpoint.whole_answer import read_whole
from ops.errors import OpsError, one_line, reason_of

KEY_VARIABLE = "IMMICH_API_KEY"
"""The variable that holds the key; there is no option for it, which would show it to others."""

_ATTEMPTS = 4
_PAUSES_S = (0.5, 1.0, 2.0)
_LONGEST_PAUSE_S = 30.0
_LARGEST_ANSWER_BYTES = 64 << 20

Verb = Literal["GET", "POST", "PUT", "DELETE"]


class ImmichError(OpsError):
    """Immich refuses one request; another one may well do."""

    def __init__(self, status: int, text: str) -> None:
        """Say what is refused.

        Args:
            status: The HTTP status.
            text: One line for the operator.
        """
        super().__init__(text)
        self.status = status


class GoneError(ImmichError):
    """What is asked for is not there any more, or not for this key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer of status 2xx, whole."""

    content: bytes
    media_type: str


class ImmichHttp:
    """The way to one Immich server, for several threads at once.

    No proxy of the environment is used: the key and private photos would pass it unasked. No
    redirect is followed: the key would go where nobody named.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str,
        timeout_s: float = 30,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect lazily: nothing is asked yet.

        Args:
            url: As in the browser, `https://photos.example`; `/api` at its end is taken off.
            key: The API key.
            timeout_s: For one whole answer.
            pause: Waits so many seconds; left out: really.

        Raises:
            OpsError: for an address or a key that cannot be used; the key is not shown.
        """
        self.url = server_url(url)
        self._key = key
        self._timeout_s = timeout_s
        self._pause = pause
        self._client = httpx2.Client(
            trust_env=False,
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 10)),
            headers={"x-api-key": check_key(key, KEY_VARIABLE), "Accept": "application/json"},
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
    ) -> Reply:
        """Send one request; once more, up to three times, where waiting may help.

        Args:
            verb: What to do.
            path: Below /api, beginning with a slash.
            body: The document; left out: none.
            repeatable: Whether doing it twice is the same as once.

        Raises:
            GoneError: when Immich does not have it.
            ImmichError: when Immich refuses this request.
            OpsError: when no whole answer comes, or the key is not taken.
        """
        attempts = _ATTEMPTS if repeatable else 1
        for attempt in range(1, attempts + 1):
            retry_after_s = 0.0
            try:
                response, content = self._send(verb, path, body)
            except httpx2.HTTPError as error:
                reason = reason_of(error, limit=240)
                failure = OpsError(f"no whole answer from Immich at {self.url} ({reason})")
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
        raise AssertionError("the last attempt returns or raises")

    def document(self, verb: Verb, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one repeatable request and read the JSON of its answer; None for an empty one.

        Raises:
            OpsError: as `ask`, and for an answer that is no JSON.
        """
        return self.read(self.ask(verb, path, body))

    def read(self, reply: Reply) -> Any:
        """Read the JSON of an answer.

        Raises:
            OpsError: when it is none: something else than Immich answers there.
        """
        if not reply.content:
            return None
        try:
            return json.loads(reply.content)
        except (ValueError, RecursionError) as error:
            what = reply.media_type or "something"
            raise OpsError(
                f"{self.url} answers {what}, no JSON; is Immich there, and no login page before "
                "it?"
            ) from error

    def _send(
        self, verb: Verb, path: str, body: Mapping[str, Any] | None
    ) -> tuple[httpx2.Response, bytes]:
        deadline = time.monotonic() + self._timeout_s
        with self._client.stream(verb, f"{self.url}/api{path}", json=body) as response:
            content = read_whole(
                response,
                deadline=deadline,
                most_bytes=_LARGEST_ANSWER_BYTES,
                late=f"more than {self._timeout_s:g} s",
            )
            if len(content) > _LARGEST_ANSWER_BYTES:
                raise OpsError(
                    f"Immich answers more than {_LARGEST_ANSWER_BYTES >> 20} MiB to {path}"
                )
            return response, content

    def _refusal(
        self, response: httpx2.Response, content: bytes, verb: Verb, path: str
    ) -> ImmichError:
        status = response.status_code
        said = self._message(content)
        if 300 <= status < 400:
            to = one_line(response.headers.get("location", "elsewhere"))
            return ImmichError(status, f"{self.url} redirects to {to}; name that address")
        if status == 401:
            return ImmichError(
                status,
                f"Immich does not take the key in {KEY_VARIABLE} ({said}); it may have expired: "
                "make one under Account Settings > API Keys",
            )
        if status == 403:
            return ImmichError(
                status,
                f"the key in {KEY_VARIABLE} may not do {verb} {path} ({said}); give it the "
                "permission under Account Settings > API Keys",
            )
        text = f"Immich answers {status} to {verb} {path} ({said})"
        # Immich says 400 for what is deleted: it does not tell that from what is somebody else's.
        if status == 404 or (status == 400 and "not found" in said.lower()):
            return GoneError(status, text)
        return ImmichError(status, text)

    def _message(self, content: bytes) -> str:
        """What an error says: a string, a list of strings, or zod's list of issues."""
        try:
            found = at(json.loads(content), "message")
        except (ValueError, RecursionError):
            found = content[:400].decode("utf-8", errors="replace")
        if isinstance(found, list):
            found = ", ".join(str(at(each, "message") or each) for each in found)
        text = found if isinstance(found, str) else json.dumps(found)
        return one_line(text.replace(self._key, "***")) or "no reason given"


def api_key() -> str:
    """Read the key from the environment.

    Raises:
        OpsError: when there is none, with how to make one.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise OpsError(
            f"{KEY_VARIABLE} is not set; make a key in Immich under Account Settings > API Keys "
            "with album.read, asset.read and asset.view"
        )
    return key


def server_url(url: str) -> str:
    """Bring an Immich server's address into one form.

    Args:
        url: As typed, such as `https://photos.example/api/`.

    Raises:
        OpsError: when it has no scheme or no host, or holds a login or a query.
    """
    return base_url(
        url, option="--immich", scheme="https", suffix="api", key_variable=KEY_VARIABLE
    )


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_PAUSE_S) if re.fullmatch(r"\d{1,6}", text) else 0.0
