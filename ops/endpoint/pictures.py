"""Pictures for test requests, generated on demand."""

from __future__ import annotations

import base64
import io

from PIL import Image


def solid_picture(colour: str, *, size_px: int = 64, image_format: str = "PNG") -> bytes:
    """Draw a square of one colour.

    Args:
        colour: A name or `#rrggbb`, as Pillow reads it.
        size_px: Width and height (default: 64).
        image_format: Pillow's name of the format, such as JPEG (default: PNG).
    """
    content = io.BytesIO()
    Image.new("RGB", (size_px, size_px), colour).save(content, image_format)
    return content.getvalue()


def data_uri(picture: bytes, media_type: str = "image/png") -> str:
    """Encode a picture as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"
