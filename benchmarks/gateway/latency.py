"""The wait for an answer of a loaded model, behind each door."""

from __future__ import annotations

import http.client
import io
import random
from collections.abc import Sequence
from contextlib import ExitStack, closing

from PIL import Image

from benchmarks.gateway.clients import ask, chat
from benchmarks.gateway.doors import Door
from ops.endpoint.pictures import data_uri

_SIDE_PX = 577
"""Noise cannot be compressed: 577 x 577 pixels of three bytes are 1 MB."""
_WARM_UP = 5
"""Requests that are not counted, through each door."""


def requests(model: str) -> dict[str, bytes]:
    """Return the body of each kind of request: a short text, and a picture of 1 MB."""
    noise = random.Random(0).randbytes(3 * _SIDE_PX**2)
    content = io.BytesIO()
    Image.frombytes("RGB", (_SIDE_PX, _SIDE_PX), noise).save(content, "PNG")
    return {
        "short text": chat(model, None),
        "picture of 1 MB": chat(model, data_uri(content.getvalue())),
    }


def waits_s(doors: Sequence[Door], body: bytes, count: int) -> dict[str, list[float]]:
    """Send a request through every door in turn, each on its open connection.

    Args:
        doors: Noise hits all alike, because another one is the first each time.
        body: The request, for a loaded model.
        count: Requests through each door.

    Returns:
        Each door's waits in seconds.

    Raises:
        RuntimeError: when a request is not answered.
    """
    waits: dict[str, list[float]] = {door.name: [] for door in doors}
    with ExitStack() as stack:
        connections = {
            door.name: stack.enter_context(
                closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=60))
            )
            for door in doors
        }
        for index in range(-_WARM_UP, count):
            first = index % len(doors)
            for door in (*doors[first:], *doors[:first]):
                outcome = ask(door, door.callers[0].key, body, connections[door.name])
                if outcome.status != "200":
                    raise RuntimeError(f"{door.name} answers {outcome.status}; expected 200")
                if index >= 0:
                    waits[door.name].append(outcome.wait_s)
    return waits
