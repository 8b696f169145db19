"""Reading a whole HTTP answer within a time and a size."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx2


def read_whole(
    response: httpx2.Response,
    *,
    deadline: float,
    most_bytes: int,
    late: str = "the answer did not end in time",
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Read a whole answer; the client's own timeouts do not bound one that trickles in.

    Args:
        response: A streamed answer.
        deadline: Time by which the answer must be complete, as the clock counts it.
        most_bytes: Reading stops once the answer is longer than this; the caller sees the length.
        late: Text of the error (default: "the answer did not end in time").
        clock: Returns the time in seconds (default: time.monotonic).

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
