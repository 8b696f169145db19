"""Ask the endpoint and the exporter, which answer in JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

ANSWER_S = 0.8
"""Seconds for an answer: a refusal waits for at most two, and comes within two seconds."""


class UnreachableError(Exception):
    """Nothing serves at that address; the message is one clause."""


class SilentError(Exception):
    """An answer came too late or says nothing; the message is one clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, of JSON or text."""

    status: int
    text: str
    document: Any
    """What its JSON says; None where it is not JSON."""
    server_time: float
    """Unix seconds of the server's clock, rounded down to a whole second; 0 if it has none."""


Get = Callable[[str], Awaitable[Answer]]
"""Asks an address. Raises UnreachableError or SilentError."""

_CONNECT_S = 0.3
"""Of each of two attempts, together shorter than for an answer, so that an address without a
server is known as one. The first may end because LiteLLM held this process up for as long."""
_MOST_BYTES = 4_000_000
"""Above any answer of a front end: 200 models, and a minute of gauges of a large node."""


def asking(key: str) -> Get:
    """Return a function that asks an address.

    Args:
        key: The API key that it sends (empty: none).
    """
    headers = {"accept-encoding": "identity"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    client = httpx2.AsyncClient(
        headers=headers,
        timeout=httpx2.Timeout(ANSWER_S, connect=_CONNECT_S),
        trust_env=False,
        transport=httpx2.AsyncHTTPTransport(
            retries=1,
            trust_env=False,
            # The router closes connections that it said it would keep.
            limits=httpx2.Limits(max_keepalive_connections=0),
        ),
    )

    async def get(url: str) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_S), client.stream("GET", url) as response:
                if response.status_code in (502, 503, 504) and _by_proxy(response):
                    raise UnreachableError(f"it answers {response.status_code}")
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise SilentError(f"it answers more than {_MOST_BYTES:,} bytes")
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise UnreachableError("nothing listens there") from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise SilentError(f"no answer within {ANSWER_S} s") from error
        text = body.decode(errors="replace")
        return Answer(
            status=response.status_code,
            text=text,
            document=_document(text),
            server_time=_date(response),
        )

    return get


def _by_proxy(response: httpx2.Response) -> bool:
    # llama-swap answers 503 in JSON where its gauges are switched off.
    return "json" not in response.headers.get("content-type", "")


def _document(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _date(response: httpx2.Response) -> float:
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return 0
