"""Answers that the gateway gives itself."""

from __future__ import annotations

from collections.abc import Iterable

from .asgi_types import Send
from .refusal import RefusedError

_JSON = ((b"content-type", b"application/json"),)


async def send_refusal(refusal: RefusedError, path: str, send: Send) -> None:
    """Answer with a refusal, in the format of the path's clients."""
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await send_answer(refusal.status, refusal.body(path), send, headers)


async def send_answer(
    status: int, body: bytes, send: Send, headers: Iterable[tuple[bytes, bytes]] = _JSON
) -> None:
    """Answer with a whole body.

    Args:
        status: The HTTP status.
        body: The body.
        send: Takes the answer.
        headers: Headers beside the length (default: JSON's type).
    """
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
