"""Read the keys and the list of tensors of a GGUF file within bounds.

The file is untrusted: counts and lengths are checked against the available bytes before any
allocation, and long values are skipped. At most `MAX_HEADER_BYTES` of a file are read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol

import gguf

from ops.errors import OpsError, one_line

MAX_HEADER_BYTES = 64 * 2**20
"""Ten times the header of a model with a vocabulary of 150,000."""
_FIRST_READ_BYTES = 2**20
_MAX_KEYS = 4096
_MAX_TENSORS = 65_536
_MAX_NAME_BYTES = 256
_MAX_KEPT_STRING_BYTES = 1024
"""Longer strings, such as chat templates, are skipped."""
_MAX_KEPT_ITEMS = 1024
"""Longer arrays, such as vocabularies, are counted and skipped."""
_MAX_DEPTH = 4
_MAX_DIMENSIONS = 4
_MAX_ELEMENTS = 2**48
_ALIGNMENT = 32
_MAX_ALIGNMENT = 2**16

_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_TYPES = {
    **{int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()},
    42: ("Q2_0", 64, 18),  # In ggml-common.h, not yet in the package.
}
"""Number of a tensor's type -> its name, elements of a block, and bytes of a block."""

Scalar = str | int | float | bool


class GgufError(OpsError):
    """A GGUF file is invalid; the message is one line and names the file."""


class Source(Protocol):
    """The bytes of a file, wherever they are."""

    @property
    def name(self) -> str:
        """Its name in errors."""

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""

    def read(self, first: int, end: int) -> bytes:
        """Read the bytes from `first` up to `end`, which is within the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A file on this machine."""

    path: Path

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return self.path.stat().st_size

    def read(self, first: int, end: int) -> bytes:
        """Read a part of the file."""
        with self.path.open("rb") as file:
            file.seek(first)
            return file.read(end - first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The value of a key that is an array."""

    count: int
    values: tuple[Scalar, ...]
    """Empty if there are many, or they are strings or arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor of the list, with its first dimension first."""

    dimensions: tuple[int, ...]
    offset: int
    """Position of its bytes, from the first tensor."""
    size_bytes: int
    type: str
    """ggml's name of it, such as `Q4_K`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The keys and tensors of a file."""

    keys: dict[str, Scalar | Items | None]
    """None for a long string, which was skipped."""
    tensors: dict[str, Tensor]


def read_table(source: Source) -> Table:
    """Read the keys and the list of tensors of a GGUF file.

    Args:
        source: The file, which is read in pieces from its start as far as needed.

    Raises:
        GgufError: when it is not a GGUF file of version 2 or 3, is truncated, or has impossible
            counts, lengths or types.
    """
    cursor = _Cursor(source)
    tensor_count, key_count = _read_preamble(cursor)
    keys: dict[str, Scalar | Items | None] = {}
    for _ in range(key_count):
        name = cursor.text("a key's name", _MAX_NAME_BYTES)
        if name in keys:
            raise cursor.error(f"has the key {name!r} twice")
        keys[name] = _read_value(cursor, name, cursor.number("I"))
    tensors: dict[str, Tensor] = {}
    for _ in range(tensor_count):
        name = cursor.text("a tensor's name", _MAX_NAME_BYTES)
        if name in tensors:
            raise cursor.error(f"has the tensor {name!r} twice")
        tensors[name] = _read_tensor(cursor, name)
    _refuse_cut(cursor, keys.get("general.alignment", _ALIGNMENT), tensors)
    return Table(keys=keys, tensors=tensors)


def _refuse_cut(cursor: _Cursor, alignment: object, tensors: Mapping[str, Tensor]) -> None:
    """Check that the file contains all of its tensors: an upload may have been interrupted."""
    if type(alignment) is not int or not 0 < alignment <= _MAX_ALIGNMENT:
        raise cursor.error(f"has a general.alignment of {alignment!r}")
    start = -(-cursor.position // alignment) * alignment
    # The sum also: tensors that share bytes could claim any size.
    needed = max(
        max((tensor.offset + tensor.size_bytes for tensor in tensors.values()), default=0),
        sum(tensor.size_bytes for tensor in tensors.values()),
    )
    if needed and start + needed > cursor.size_bytes:
        raise cursor.error(
            f"is truncated: its tensors end at byte {start + needed}, the file at "
            f"{cursor.size_bytes}"
        )


def _read_preamble(cursor: _Cursor) -> tuple[int, int]:
    """Check magic and version; return the counts of tensors and keys."""
    magic = bytes(cursor.take(4))
    if magic != b"GGUF":
        start = magic.lstrip()
        content = "a web page" if start.startswith(b"<") else f"a file that starts with {magic!r}"
        raise cursor.error(f"is {content}; expected a GGUF file")
    version = cursor.number("I")
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        if swapped in (1, 2, 3):
            raise cursor.error("is a big-endian GGUF file; expected a little-endian one")
        raise cursor.error(f"has GGUF version {version}; expected 2 or 3")
    tensor_count, key_count = cursor.number("Q"), cursor.number("Q")
    for kind, count, most in (
        ("tensors", tensor_count, _MAX_TENSORS),
        ("keys", key_count, _MAX_KEYS),
    ):
        if count > most:
            raise cursor.error(f"has {count} {kind}; expected at most {most}")
    return tensor_count, key_count


def _read_value(cursor: _Cursor, name: str, kind: int, depth: int = 0) -> Scalar | Items | None:
    if kind in _SCALARS:
        return cursor.scalar(_SCALARS[kind])
    if kind == _STRING:
        return cursor.string(name)
    if kind != _ARRAY:
        raise cursor.error(f"has a value of unknown type {kind} at {name!r}")
    if depth == _MAX_DEPTH:
        raise cursor.error(f"nests arrays deeper than {_MAX_DEPTH} at {name!r}")
    item, count = cursor.number("I"), cursor.number("Q")
    if item in _SCALARS:
        width = struct.calcsize(f"<{_SCALARS[item]}")
        content = cursor.take_many(name, count, width)
        if count > _MAX_KEPT_ITEMS:
            return Items(count=count, values=())
        return Items(count=count, values=struct.unpack(f"<{count}{_SCALARS[item]}", content))
    # A string has at least its length, an array its type and its count.
    cursor.require(name, count, 8 if item == _STRING else 12)
    for _ in range(count):
        if item == _STRING:
            cursor.skip_string(name)
        else:
            _read_value(cursor, name, item, depth + 1)
    return Items(count=count, values=())


def _read_tensor(cursor: _Cursor, name: str) -> Tensor:
    count = cursor.number("I")
    if count > _MAX_DIMENSIONS:
        raise cursor.error(f"has tensor {name!r} with {count} dimensions; expected at most 4")
    dimensions = tuple(cursor.number("Q") for _ in range(count))
    kind = cursor.number("I")
    offset = cursor.number("Q")
    elements = prod(dimensions)
    if not 0 < elements <= _MAX_ELEMENTS:
        raise cursor.error(f"has tensor {name!r} with the dimensions {dimensions}")
    if kind not in _TYPES:
        raise cursor.error(f"has tensor {name!r} of unknown type {kind}")
    type_name, block, block_bytes = _TYPES[kind]
    if (dimensions or (1,))[0] % block:
        raise cursor.error(f"has tensor {name!r} with rows that are not a multiple of {block}")
    size_bytes = elements // block * block_bytes
    return Tensor(dimensions=dimensions, offset=offset, size_bytes=size_bytes, type=type_name)


class _Cursor:
    """A position in a file, and the bytes that were read so far."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._bytes = bytearray()
        self._limit = min(source.size_bytes, MAX_HEADER_BYTES)
        self.position = 0

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return self._source.size_bytes

    def error(self, text: str) -> GgufError:
        return GgufError(one_line(f"{self._source.name} {text}"))

    def _past_the_end(self) -> GgufError:
        if self._limit < self._source.size_bytes:
            return self.error(f"has a header of more than {MAX_HEADER_BYTES // 2**20} MiB")
        return self.error(f"is truncated: its header continues after its {self._limit} bytes")

    def require(self, name: str, count: int, width: int) -> None:
        """Check that enough bytes are left for `count` items of at least `width` bytes."""
        left = self._limit - self.position
        if count * width > left:
            if count * width <= self.size_bytes - self.position:
                raise self._past_the_end()
            raise self.error(f"has {count} items at {name!r}, but {left} bytes are left")

    def _fill(self, length: int) -> int:
        """Read the next bytes; return their position."""
        start, end = self.position, self.position + length
        if end > self._limit:
            raise self._past_the_end()
        while len(self._bytes) < end:
            have = len(self._bytes)
            until = min(self._limit, max(end, 2 * have, _FIRST_READ_BYTES))
            piece = self._source.read(have, until)
            if len(piece) != until - have:
                raise self.error(f"is truncated: got {len(piece)} bytes instead of {until - have}")
            self._bytes += piece
        self.position = end
        return start

    def take(self, length: int) -> bytearray:
        start = self._fill(length)
        return self._bytes[start : start + length]

    def take_many(self, name: str, count: int, width: int) -> bytearray:
        """Skip an array; return its bytes if it is short enough to keep."""
        self.require(name, count, width)
        if count <= _MAX_KEPT_ITEMS:
            return self.take(count * width)
        self._fill(count * width)
        return bytearray()

    def scalar(self, code: str) -> int | float | bool:
        start = self._fill(struct.calcsize(f"<{code}"))
        value: int | float | bool
        (value,) = struct.unpack_from(f"<{code}", self._bytes, start)
        return value

    def number(self, code: str) -> int:
        return int(self.scalar(code))

    def skip_string(self, name: str) -> None:
        length = self.number("Q")
        self.require(name, length, 1)
        self._fill(length)

    def string(self, name: str) -> str | None:
        length = self.number("Q")
        self.require(name, length, 1)
        if length > _MAX_KEPT_STRING_BYTES:
            self._fill(length)
            return None
        return self.take(length).decode(errors="replace")

    def text(self, kind: str, most: int) -> str:
        length = self.number("Q")
        if length > most:
            raise self.error(f"has {length} bytes for {kind}; expected at most {most}")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise self.error(f"has {kind} that is not text") from None
