"""The pictures of a request: bounded before a model reads them.

A PNG of 42 kB and 16,000 pixels a side takes 2.4 GB in llama-server. It fetches addresses too, so
it gets none.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from .picture_header import (
    Header,
    NotAPictureError,
    TruncatedError,
    check_png_data,
    read_header,
)
from .policy import Pictures
from .refusal import RefusedError

_HEAD = 2**16
"""Characters of base64 that are decoded for a header; only a JPEG may need more."""
_MOST_INFLATION = 774
"""Bytes that a character of base64 can inflate to: deflate's 1032, three quarters of it."""
_OTHER_MEDIA = ("input_audio", "input_video", "video_url", "audio_url", "file")
"""Content that LiteLLM or llama-server would fetch or decode, and that no model here reads."""
_BARE = "multimodal_data"
"""Where llama.cpp's /completion has pictures: base64 without a data URI."""

Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture, or the address of one, where it stands in a body."""

    holder: Any
    """The object or list that has it."""
    key: Any
    """Its key or index there."""
    form: Literal["uri", "bare", "source"]
    """A data URI or an address, base64 alone, or Anthropic's source, which may be either."""

    @property
    def text(self) -> str:
        """The data URI, base64 or address as the client wrote it; empty if it is missing."""
        try:
            text = self.holder[self.key]
        except LookupError:
            return ""
        return text if isinstance(text, str) else ""

    @property
    def is_address(self) -> bool:
        """Whether somebody has to fetch it."""
        return self.form != "bare" and self.text[:4].lower() == "http"

    def write(self, data: str, kind: str) -> bool:
        """Write base64 of a kind of picture in its place.

        Returns:
            Whether that changes the body.
        """
        media_type = f"image/{kind}"
        if self.form == "source":
            after = {"type": "base64", "media_type": media_type, "data": data}
            before = dict(self.holder)
            self.holder.clear()
            self.holder.update(after)
            return before != after
        text = data if self.form == "bare" else f"data:{media_type};base64,{data}"
        changes = self.text != text
        self.holder[self.key] = text
        return changes


async def bound(body: Any, limits: Pictures, fetch: Fetch | None) -> bool:
    """Check all pictures of a body, and repair how they are written.

    Args:
        body: The parsed body, which is changed.
        limits: What a request may carry.
        fetch: Fetches an address; None: the consumer may not send addresses.

    Returns:
        Whether the body has changed.

    Raises:
        RefusedError: naming what is too large, or not a picture.
    """
    pictures = tuple(find(body))
    if len(pictures) > limits.number:
        raise RefusedError(
            413,
            "too_many_pictures",
            f"the request has {len(pictures)} pictures; expected at most {limits.number}",
        )
    addresses = {picture.text for picture in pictures if picture.is_address}
    if addresses and fetch is None:
        raise RefusedError(
            403,
            "remote_picture",
            "the request has the address of a picture; expected the picture itself, as "
            "data:image/jpeg;base64,... Send that, or set remote_images for this consumer",
        )
    contents = await _fetched(addresses, fetch) if fetch else {}
    changed = False
    for picture in pictures:
        if picture.is_address:
            data = base64.b64encode(contents[picture.text]).decode()
        else:
            data = _base64_of(picture)
        header = _check(data, limits)
        # Smaller data cannot inflate to more than a picture that is allowed, of 8 bytes a pixel.
        if header.kind == "png" and len(data) * _MOST_INFLATION > 8 * limits.pixels:
            await asyncio.to_thread(_check_data, data, header)
        changed |= picture.write(data, header.kind)
    return changed


async def _fetched(addresses: Collection[str], fetch: Fetch) -> Mapping[str, bytes]:
    tasks = [asyncio.ensure_future(fetch(address)) for address in addresses]
    try:
        return dict(zip(addresses, await asyncio.gather(*tasks), strict=True))
    finally:
        # A request that is refused for one picture fetches no other one.
        for task in tasks:
            task.cancel()


def find(body: Any) -> Iterator[Picture]:
    """Find the pictures of a body, however deep, in each client's format.

    Raises:
        RefusedError: for audio, video, files and documents.
    """
    pending = [body]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += (item for item in value if isinstance(item, (dict, list)))
        elif isinstance(value, dict):
            yield from _of(value)
            pending += (item for item in value.values() if isinstance(item, (dict, list)))


def _of(part: dict[str, Any]) -> Iterator[Picture]:
    kind = part.get("type")
    if kind in ("image_url", "input_image"):
        image = part.get("image_url")
        if isinstance(image, dict):
            yield Picture(holder=image, key="url", form="uri")
        else:
            yield Picture(holder=part, key="image_url", form="uri")
    elif kind == "image" and isinstance(part.get("source"), dict):
        source = part["source"]
        yield Picture(
            holder=source, key="data" if source.get("type") == "base64" else "url", form="source"
        )
    elif _is_other_medium(kind, part):
        raise RefusedError(
            400,
            "media_not_served",
            f"the request has content of type {kind!r}; expected text and pictures. Remove it",
        )
    bare = part.get(_BARE)
    # llama-server goes through the items of an array, the values of an object, and a string alone.
    if isinstance(bare, str):
        yield Picture(holder=part, key=_BARE, form="bare")
    elif isinstance(bare, (list, dict)):
        for key in range(len(bare)) if isinstance(bare, list) else tuple(bare):
            yield Picture(holder=bare, key=key, form="bare")


def _is_other_medium(kind: object, part: dict[str, Any]) -> bool:
    if kind == "document":
        # LiteLLM passes it on as a picture, or drops it.
        return isinstance(part.get("source"), dict)
    return isinstance(kind, str) and kind in _OTHER_MEDIA and kind in part


def _base64_of(picture: Picture) -> str:
    """Return a picture's base64 as llama-server reads it: one line, padded, no URL alphabet."""
    text = picture.text
    if not text:
        raise _not_a_picture("missing")
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise _not_a_picture("a data URI without base64")
    if "%" in text:
        text = unquote_to_bytes(text).decode("ascii", "replace")
    if any(space in text for space in "\n\r\t "):
        text = "".join(text.split())
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    missing = -len(text) % 4
    return text + "=" * missing


def _check(data: str, limits: Pictures) -> Header:
    size = len(data) // 4 * 3 - data[-2:].count("=")
    if size > limits.bytes:
        raise RefusedError(
            413,
            "picture_too_large",
            f"a picture has {size:,} bytes; expected at most {limits.bytes:,}. Send a smaller one",
        )
    header = _header(data)
    if header.pixels > limits.pixels:
        raise RefusedError(
            413,
            "picture_too_large",
            f"a picture has {header.width} x {header.height} pixels; expected at most "
            f"{limits.pixels:,} in all. Send a smaller one",
        )
    return header


def _check_data(data: str, header: Header) -> None:
    try:
        check_png_data(base64.b64decode(data, validate=True), header)
    except NotAPictureError as error:
        raise _not_a_picture(str(error)) from None
    except ValueError:
        raise _not_a_picture("malformed base64") from None


def _header(data: str) -> Header:
    try:
        try:
            return read_header(base64.b64decode(data[:_HEAD], validate=True))
        except TruncatedError:
            return read_header(base64.b64decode(data, validate=True))
    except TruncatedError:
        raise _not_a_picture("truncated") from None
    except NotAPictureError as error:
        raise _not_a_picture(str(error)) from None
    except ValueError:
        raise _not_a_picture("malformed base64") from None


def _not_a_picture(what: str) -> RefusedError:
    return RefusedError(
        400,
        "picture_format",
        f"a picture is {what}; expected JPEG, PNG, GIF or BMP in base64, as "
        "data:image/jpeg;base64,... Convert it",
    )
