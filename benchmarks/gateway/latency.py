"""The wait for an answer of a loaded model, behind each door."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

from PIL import Image

from benchmarks.gateway.clients import ask, chat
from benchmarks.gateway.doors import Door
from ops.endpoint.pictures import data_uri

_WARM_UP = 5
"""Requests that are not counted, through each door."""
_SIDES_PX = {"JPEG": 1056, "PNG": 577}
"""Squares of noise, which cannot be compressed, of 1 MB."""


def requests(model: str) -> dict[str, bytes]:
    """Return the body of each kind of request: a short text, and pictures of 1 MB."""
    pictures = {
        f"{image_format} of 1 MB": chat(model, _noise(image_format, side_px))
        for image_format, side_px in _SIDES_PX.items()
    }
    return {"short text": chat(model, None), **pictures}


def _noise(image_format: str, side_px: int) -> str:
    pixels = random.Random(0).randbytes(3 * side_px**2)
    content = io.BytesIO()
    Image.frombytes("RGB", (side_px, side_px), pixels).save(content, image_format, quality=90)
    return data_uri(content.getvalue(), f"image/{image_format.lower()}")


def waits_s(doors: Sequence[Door], body: bytes, count: int) -> dict[str, list[float]]:
    """Send a request through every door in turn.

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
    for index in range(-_WARM_UP, count):
        first = index % len(doors)
        for door in (*doors[first:], *doors[:first]):
            outcome = ask(door, door.callers[0].key, body)
            if outcome.status != "200":
                raise RuntimeError(f"{door.name} answers {outcome.status}; expected 200")
            if index >= 0:
                waits[door.name].append(outcome.wait_s)
    return waits
