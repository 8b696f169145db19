"""Damage to a GGUF file's header that knows its fields, drawn by a seed."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import gguf

_NUMBERS = (
    *(0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 31, 33, 64, 255, 256, 1024, 1025, 4096, 4097),
    *(2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**48, 2**62, 2**63, 2**64 - 1),
)
_TEXTS = (
    *(b"", b"\xff", b"\xed\xa0\x80", b"a\nb", b"\0", b"\x1b[31m", b"x" * 256, b"x" * 257),
    *(b"\x01" * 256, b"k" * 2000, "\u2028".encode(), b"clip", b"llama", b"general.alignment"),
)
_ARRAY = 9


class GgufPieces:
    """A GGUF file cut into the smallest parts of its header, field by field, and the rest."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        fields = [*reader.fields.values(), *(tensor.field for tensor in reader.tensors)]
        self._fields = [[part.tobytes() for part in field.parts] for field in fields]
        head = b"GGUF" + b"".join(part for field in self._fields for part in field)
        self.content = path.read_bytes()
        self._rest = self.content[len(head) :]
        assert self.content.startswith(head)

    def spoiled(self, chance: random.Random) -> bytes:
        """Return the file with one to five faults."""
        fields = [list(field) for field in self._fields]
        for _ in range(chance.choice((1, 1, 2, 3, 5))):
            _spoil(fields, chance)
        content = b"GGUF" + b"".join(part for field in fields for part in field) + self._rest
        return content[: chance.randrange(len(content))] if chance.random() < 0.05 else content


def _spoil(fields: list[list[bytes]], chance: random.Random) -> None:
    place = chance.randrange(len(fields))
    field = fields[place]
    at = chance.randrange(min(len(field), 12))
    match chance.randrange(8):
        case 0 | 1 if len(field[at]) in (1, 4, 8):
            number = chance.choice((*_NUMBERS, chance.getrandbits(64)))
            field[at] = struct.pack("<Q", number & (2**64 - 1))[: len(field[at])]
        case 2 | 3:
            text = chance.choice(_TEXTS)
            field[at : at + 2] = [struct.pack("<Q", len(text)), text]
        case 4:  # Each name twice, or the value of another key.
            start = chance.randrange(3)
            field[start:] = chance.choice(fields)[start:]
        case 5:
            count = chance.choice((0, 1, 3, 5, 1024, 2**16, 2**40))
            kind = chance.choice((*range(14), _ARRAY))
            values = bytes(8) * min(count, 2**14)
            field[2:] = [struct.pack("<IIQ", _ARRAY, kind, count), values]
        case 6:
            nested = struct.pack("<IQ", _ARRAY, 1) * chance.randrange(1, 8)
            field[2:] = [struct.pack("<I", _ARRAY), nested, struct.pack("<IQQ", 4, 1, 0)]
        case _:
            other = chance.randrange(len(fields))
            fields[place], fields[other] = fields[other], fields[place]
