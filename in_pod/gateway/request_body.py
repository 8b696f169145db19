"""A request's body: read whole, bounded in size and time, and parsed without ambiguity."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from .asgi_types import Receive
from .refusal import RefusedError

MOST_BYTES = 64 * 2**20
"""Two pictures of the default size, in base64. A body exists about four times while LiteLLM works
on it."""
_MOST_ITEMS = 200_000
"""Values of all lists and objects. 64 MiB of empty lists take 1.4 GB as Python's."""
_RECEIVE_S = 60
"""A client that sends half a body does not occupy the gateway for longer."""


class ClientGoneError(Exception):
    """The client left before its request was complete."""


async def read(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """Read a whole body.

    Raises:
        RefusedError: when it is too large, too slow or compressed.
        ClientGoneError: when the client left.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError(
            415,
            "body_encoding",
            "the body is compressed; expected JSON without Content-Encoding",
        )
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise _too_large()
    chunks, size = [], 0
    try:
        async with asyncio.timeout(_RECEIVE_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > MOST_BYTES:
                    raise _too_large()
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise RefusedError(
            408, "body_timeout", f"the body is incomplete after {_RECEIVE_S} s"
        ) from None


def parse(body: bytes) -> dict[str, Any]:
    """Parse a body in the one way that no reader behind the gateway takes differently.

    Raises:
        RefusedError: when it is not a JSON object, or a key appears twice: LiteLLM takes the last
            one, llama-swap the first.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_ITEMS:
        raise RefusedError(
            413,
            "body_too_large",
            f"the body has too many values; expected at most {_MOST_ITEMS:,}",
        )
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
    except _DuplicateError as error:
        raise _malformed(f"has the key {error} twice") from None
    except (ValueError, RecursionError):
        raise _malformed("is not JSON") from None
    if not isinstance(document, dict):
        raise _malformed("is not a JSON object")
    return document


def write(document: Mapping[str, Any]) -> bytes:
    """Return a body's bytes.

    Raises:
        RefusedError: when pictures that were fetched for it have made it too large.
    """
    body = json.dumps(document, separators=(",", ":")).encode()
    if len(body) > MOST_BYTES:
        raise _too_large()
    return body


class _DuplicateError(Exception):
    pass


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = tuple(pairs)
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateError(repr(next(key for key in keys if keys.count(key) > 1))[:80])
    return document


def _constant(name: str) -> None:
    raise ValueError(name)


def _float(text: str) -> float:
    # LiteLLM cannot write an infinite number, and would answer 500.
    if not isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _malformed(what: str) -> RefusedError:
    return RefusedError(400, "body_malformed", f"the body {what}; expected a JSON object")


def _too_large() -> RefusedError:
    return RefusedError(
        413,
        "body_too_large",
        f"the body is too large; expected at most {MOST_BYTES:,} bytes. Send smaller pictures",
    )
