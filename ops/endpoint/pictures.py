"""Pictures to ask about, made where they are needed."""

from __future__ import annotations

import base64
import io

from PIL import Image


def solid_picture(colour: str, *, size_px: int = 64, image_format: str = "PNG") -> bytes:
    """Make a square of one colour.

    Args:
        colour: A name or `#rrggbb`, as Pillow reads it.
        size_px: Width and height.
        image_format: What Pillow calls it: PNG, JPEG, ...
    """
    content = io.BytesIO()
    Image.new("RGB", (size_px, size_px), colour).save(content, image_format)
    return content.getvalue()


def data_uri(picture: bytes, media_type: str = "image/png") -> str:
    """Write a picture as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"
