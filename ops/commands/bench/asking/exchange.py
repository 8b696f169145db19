"""One question and its whole answer: how long it took, and its class of failure."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx2

from ops.commands.bench.asking.numbers import finite, whole
from ops.commands.bench.results import Failure
from ops.endpoint.api_key import authorization
from ops.endpoint.client import CHAT, at
from ops.machine.http_client import http_client
from ops.machine.whole_answer import read_whole
from ops.report.redaction import MARK, redact

_CONNECT_TIMEOUT_S = 10
_ATTEMPTS = 2
_LARGEST_ANSWER_BYTES = 8 << 20
_LEAST_S = 0.1
"""Seconds for an attempt, at least: httpx accepts no timeout of 0."""
_RAW = 2000
_OWN_PARSER = "does not match the expected"
"""llama-server's message when its parser rejects a generated answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The result of one request."""

    document: Any = None
    """The answer's JSON; None if the request failed."""
    failure: Failure | None = None
    raw: str = ""
    """What came back instead of an answer."""
    wall_s: float = 0.0
    attempt: int = 1

    @property
    def server_s(self) -> float | None:
        """Prompt and generation, by llama-server's own timings."""
        prompt_ms = finite(at(self.document, "timings", "prompt_ms"))
        predicted_ms = finite(at(self.document, "timings", "predicted_ms"))
        if prompt_ms is None or predicted_ms is None:
            return None
        return (prompt_ms + predicted_ms) / 1000

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of text and photos."""
        return whole(at(self.document, "usage", "prompt_tokens"))

    @property
    def answer_tokens(self) -> int | None:
        """Generated tokens."""
        return whole(at(self.document, "usage", "completion_tokens"))

    @property
    def cached_tokens(self) -> int | None:
        """Prompt tokens from the cache: 0 right after a load."""
        return whole(at(self.document, "timings", "cache_n"))


class Asker:
    """Asks one question at a time over a persistent connection."""

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
            url: The endpoint, without a trailing `/`.
            key: The API key; empty: no key is sent.
            timeout_s: Seconds for one whole answer, including a load.
            clock: Measures the answers (default: the machine's).
        """
        self._clock = clock
        self._key = key
        self._timeout_s = timeout_s
        self._url = f"{url}{CHAT}"
        headers = {"Content-Type": "application/json", **authorization(key)}
        self._client = http_client(headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def ask(self, body: bytes, *, within_s: float = math.inf) -> Exchange:
        """Ask; retry a broken connection once, and nothing else.

        Args:
            body: The request.
            within_s: Remaining seconds, for both attempts together; `timeout_s` limits each.
        """
        end = self._clock() + within_s
        raw = ""
        for attempt in range(1, _ATTEMPTS + 1):
            begin = self._clock()
            limit_s = max(_LEAST_S, min(self._timeout_s, end - begin))
            try:
                status, content = self._answer(body, limit_s, deadline=begin + limit_s)
            except (httpx2.ConnectTimeout, httpx2.ConnectError) as error:
                raw = str(error)
            except httpx2.TimeoutException:
                return Exchange(
                    failure="timeout",
                    raw=f"no whole answer within {limit_s:g} s",
                    wall_s=self._clock() - begin,
                    attempt=attempt,
                )
            except httpx2.HTTPError as error:
                raw = str(error) or type(error).__name__
            else:
                wall_s = self._clock() - begin
                return self._exchange(status, content, wall_s, attempt)
        wall_s = self._clock() - begin
        return Exchange(
            failure="connection", raw=self.excerpt(raw), wall_s=wall_s, attempt=attempt
        )

    def excerpt(self, text: str) -> str:
        """Return what is kept of an answer: at most 2,000 characters, redacted, valid text."""
        if self._key:
            text = text.replace(self._key, MARK)
        # JSON may contain half of a surrogate pair, which a UTF-8 file cannot.
        text = redact(text[: 2 * _RAW])[:_RAW]
        return text.encode(errors="backslashreplace").decode()

    def _answer(self, body: bytes, limit_s: float, *, deadline: float) -> tuple[int, bytes]:
        """Return status and content of one whole answer.

        Raises:
            TimeoutException: when it takes longer than the limit, even if bytes keep coming.
        """
        timeout = httpx2.Timeout(limit_s, connect=min(limit_s, _CONNECT_TIMEOUT_S))
        with self._client.stream("POST", self._url, content=body, timeout=timeout) as response:
            content = read_whole(
                response, deadline=deadline, most_bytes=_LARGEST_ANSWER_BYTES, clock=self._clock
            )
            return response.status_code, content

    def _exchange(self, status: int, content: bytes, wall_s: float, attempt: int) -> Exchange:
        text = content.decode("utf-8", errors="replace")
        failure: Failure | None = None
        document: Any = None
        if status >= 500:
            failure = "server_500_format" if _OWN_PARSER in text else "http_5xx"
        elif status >= 400:
            failure = "http_4xx"
        elif status != 200 or len(content) > _LARGEST_ANSWER_BYTES:
            failure = "invalid_answer"
        else:
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                failure = "invalid_answer"
        shown = text if status == 200 else f"status {status}: {text}"
        raw = "" if failure is None else self.excerpt(shown)
        return Exchange(
            document=document, failure=failure, raw=raw, wall_s=wall_s, attempt=attempt
        )
