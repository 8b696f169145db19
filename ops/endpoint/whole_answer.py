"""An answer read to its end, within a time and a size."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx2


def read_whole(
    response: httpx2.Response,
    *,
    deadline: float,
    most_bytes: int,
    late: str = "the answer goes on and on",
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Read an answer that may come little by little, which no timeout of the client bounds.

    Args:
        response: A streamed answer.
        deadline: When it has to be there, by the clock.
        most_bytes: Where reading stops; a longer answer is returned up to there and a bit more.
        late: What the error says.
        clock: In seconds (default: the machine's).

    Raises:
        httpx2.ReadTimeout: when the deadline passes first.
    """
    content = bytearray()
    for part in response.iter_bytes():
        content += part
        if clock() > deadline:
            raise httpx2.ReadTimeout(late)
        if len(content) > most_bytes:
            break
    return bytes(content)
