"""One question, one whole answer: its time, and what went wrong on the way as a class."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx2

from ops.photo_bench.results import Failure
from ops.smoke.endpoint import at

CHAT = "/v1/chat/completions"
_CONNECT_TIMEOUT_S = 10
_ATTEMPTS = 2
_RAW = 2000
_OWN_PARSER = "does not match the expected"
"""What llama-server says when its parser gives up on an answer that it has generated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What came back for one request."""

    document: Any = None
    """The answer's JSON; None where there is a failure."""
    failure: Failure | None = None
    raw: str = ""
    """What came back instead of an answer."""
    wall_s: float = 0.0
    attempt: int = 1

    @property
    def server_s(self) -> float | None:
        """Prompt and generation by llama-server's own timings."""
        prompt_ms = at(self.document, "timings", "prompt_ms")
        predicted_ms = at(self.document, "timings", "predicted_ms")
        if not isinstance(prompt_ms, int | float) or not isinstance(predicted_ms, int | float):
            return None
        return (prompt_ms + predicted_ms) / 1000

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of text and photos."""
        return _whole(at(self.document, "usage", "prompt_tokens"))

    @property
    def answer_tokens(self) -> int | None:
        """Tokens that were generated."""
        return _whole(at(self.document, "usage", "completion_tokens"))

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that were known already: 0 right after a load."""
        return _whole(at(self.document, "timings", "cache_n"))


class Asker:
    """Asks one thing at a time over a connection that it keeps."""

    def __init__(
        self,
        url: str,
        *,
        key: str,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect lazily.

        Args:
            url: The endpoint, without `/` at its end.
            key: The API key; empty: none is sent.
            timeout_s: Seconds for one answer, a load included.
            clock: Of the answers' times; left out: the machine's.
        """
        self._clock = clock
        self._url = f"{url}{CHAT}"
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx2.Client(
            trust_env=False,
            headers=headers,
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def ask(self, body: bytes) -> Exchange:
        """Ask; a broken connection is tried once more, nothing else is."""
        for attempt in range(1, _ATTEMPTS + 1):
            begin = self._clock()
            try:
                response = self._client.post(self._url, content=body)
            except (httpx2.ConnectTimeout, httpx2.ConnectError) as error:
                raw = str(error)
            except httpx2.TimeoutException as error:
                wall_s = self._clock() - begin
                return Exchange(
                    failure="timeout", raw=_cut(str(error)), wall_s=wall_s, attempt=attempt
                )
            except httpx2.HTTPError as error:
                raw = str(error) or type(error).__name__
            else:
                wall_s = self._clock() - begin
                return _exchange(response.status_code, response.text, wall_s, attempt)
        wall_s = self._clock() - begin
        return Exchange(failure="connection", raw=_cut(raw), wall_s=wall_s, attempt=attempt)


def _exchange(status: int, text: str, wall_s: float, attempt: int) -> Exchange:
    failure: Failure | None = None
    document: Any = None
    if status >= 500:
        failure = "server_500_format" if _OWN_PARSER in text else "http_5xx"
    elif status != 200:
        failure = "http_4xx"
    else:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            failure = "invalid_answer"
    raw = "" if failure is None else _cut(text if status == 200 else f"status {status}: {text}")
    return Exchange(document=document, failure=failure, raw=raw, wall_s=wall_s, attempt=attempt)


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _cut(text: str) -> str:
    # Half of a pair of surrogates, which JSON may hold, is no text for a file.
    return text[:_RAW].encode(errors="backslashreplace").decode()
