"""Damage to bytes and JSON, drawn by a seed, and what an error about it must be."""

from __future__ import annotations

import json
import random
from typing import Any

from ops.errors import OpsError

JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 5, 2**70, 1e308, float("nan"), float("inf"), 4.5),
    *("", "0", "x", "\ud83d", "a\nb", "\0", "\x1b[31m", "9" * 40, "timeline", "IMAGE"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "yesterday"),
    *([], {}, [[]], [None], {"id": None}, [{}], "[]"),
)


def check_one_line(error: OpsError, seed: int) -> None:
    text = str(error)
    assert 0 < len(text) < 5000, seed
    assert text.isprintable(), (seed, text)


def spoiled_bytes(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(damaged) + 1)
        match chance.randrange(4):
            case 0:
                del damaged[place : place + chance.choice((1, 4, 400))]
            case 1:
                damaged[place:place] = chance.randbytes(chance.choice((1, 4, 40)))
            case 2 if damaged:
                damaged[min(place, len(damaged) - 1)] = chance.randrange(256)
            case _:
                del damaged[place:]
    return bytes(damaged)


def spoiled_json(content: bytes, chance: random.Random) -> bytes:
    try:
        document = json.loads(content)
    except ValueError:
        return content
    places = list(_places(document))
    for _ in range(chance.choice((1, 1, 2, 5))):
        if not places:
            return json.dumps(chance.choice(JSON_VALUES)).encode()
        inside, key = chance.choice(places)
        if isinstance(inside, dict) and chance.random() < 0.3:
            inside.pop(key, None)
        else:
            inside[key] = chance.choice(JSON_VALUES)
    return json.dumps(document).encode()


def _places(document: Any) -> Any:
    if isinstance(document, dict | list):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            yield document, key
            yield from _places(document[key])
