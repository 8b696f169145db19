"""Read a picture's kind and size from its first bytes: PNG, JPEG, GIF and BMP."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

Kind = Literal["png", "jpeg", "gif", "bmp"]
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# Start of frame: baseline, extended, progressive and lossless, but not the tables among them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_INFLATE_BYTES = 2**20
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG markers without a length."""


class NotAPictureError(Exception):
    """The bytes are not a picture that llama-server reads; the message says what they are."""


class TruncatedError(Exception):
    """The header goes on behind the bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a picture says about itself."""

    kind: Kind
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def read_header(data: bytes) -> Header:
    """Read a picture's header.

    Args:
        data: The picture's first bytes, or all of them.

    Raises:
        NotAPictureError: when it is not a picture, or of a kind that llama-server does not read.
        TruncatedError: when the size stands behind these bytes.
    """
    if data.startswith(_PNG):
        return _header("png", _number(data, 16, 4), _number(data, 20, 4))
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _header("gif", _number(data, 6, 2, "little"), _number(data, 8, 2, "little"))
    if data.startswith(b"BM"):
        return _bmp(data)
    raise NotAPictureError(_name(data))


def check_png_data(data: bytes, header: Header) -> None:
    """Check that a PNG's data inflate to the size of its header.

    llama-server inflates them before it compares: 1 MB can take 1 GB.

    Args:
        data: The whole PNG.
        header: Its header.

    Raises:
        NotAPictureError: when they inflate to more.
    """
    # Four channels of 16 bits and a byte a row; interlaced, there are up to twice as many rows.
    room = 8 * header.pixels + 2 * header.height + 64
    inflate, at = zlib.decompressobj(), 8
    try:
        while at + 8 <= len(data) and room >= 0:
            length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
            chunk = data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
            while chunk and room >= 0 and not inflate.eof:
                room -= len(inflate.decompress(chunk, _INFLATE_BYTES))
                chunk = inflate.unconsumed_tail
            at += 12 + length
    except zlib.error:
        raise NotAPictureError("a damaged PNG") from None
    if room < 0:
        raise NotAPictureError("a PNG with more data than its size says")


def _name(data: bytes) -> str:
    """Say what other bytes are, as far as an operator would ask."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "HEIC or AVIF"
    return "of an unknown kind"


def _header(kind: Kind, width: int, height: int) -> Header:
    if width < 1 or height < 1:
        raise NotAPictureError(f"{width} x {height} pixels")
    return Header(kind=kind, width=width, height=height)


def _number(
    data: bytes,
    at: int,
    size: int,
    order: Literal["big", "little"] = "big",
    *,
    signed: bool = False,
) -> int:
    if len(data) < at + size:
        raise TruncatedError
    return int.from_bytes(data[at : at + size], order, signed=signed)


def _bmp(data: bytes) -> Header:
    if _number(data, 14, 4, "little") == 12:
        return _header("bmp", _number(data, 18, 2, "little"), _number(data, 20, 2, "little"))
    width = _number(data, 18, 4, "little", signed=True)
    # A negative height stores the rows from top to bottom.
    return _header("bmp", width, abs(_number(data, 22, 4, "little", signed=True)))


def _jpeg(data: bytes) -> Header:
    at = 2
    while True:
        if _number(data, at, 1) != 0xFF:
            raise NotAPictureError("a damaged JPEG")
        while (marker := _number(data, at, 1)) == 0xFF:
            at += 1
        at += 1
        if marker in _JPEG_FRAMES:
            return _header("jpeg", _number(data, at + 5, 2), _number(data, at + 3, 2))
        # Picture data before a frame, the end, or a second start.
        if marker in (0x00, 0xD8, 0xD9, 0xDA):
            raise NotAPictureError("a damaged JPEG")
        if marker not in _JPEG_BARE:
            length = _number(data, at, 2)
            if length < 2:
                raise NotAPictureError("a damaged JPEG")
            at += length
