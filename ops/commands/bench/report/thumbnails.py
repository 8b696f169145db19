"""Small pictures inside the file: each photo is stored once, however often it is shown."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ops.commands.bench.results import Photo

MOST = 60
"""Pictures in one report; further photos are shown by name."""
_EDGE_PX = 256
_QUALITY = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """One small picture."""

    id: str
    """Id of the element that holds it."""
    uri: str
    width: int
    height: int


def make_thumbnails(
    photos: Sequence[Photo], wanted: Iterable[int], images: Path
) -> Mapping[int, Thumbnail]:
    """Make the first wanted pictures.

    Args:
        photos: The run's photos.
        wanted: Indices of photos, the most wanted first; repetitions count once.
        images: The directory of the sent bytes.

    Returns:
        Photo's index -> its picture; a photo whose bytes are missing has none.
    """
    thumbnails: dict[int, Thumbnail] = {}
    for index in dict.fromkeys(wanted):
        if len(thumbnails) == MOST:
            break
        sha256 = photos[index].image_sha256
        if not sha256.isalnum():
            continue
        picture = _picture(images / f"{sha256}.jpg")
        if picture is not None:
            content, (width, height) = picture
            thumbnails[index] = Thumbnail(
                id=f"photo-{index}",
                uri=f"data:image/webp;base64,{base64.b64encode(content).decode()}",
                width=width,
                height=height,
            )
    return thumbnails


def _picture(path: Path) -> tuple[bytes, tuple[int, int]] | None:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (_EDGE_PX, _EDGE_PX))
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((_EDGE_PX, _EDGE_PX), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    # Without exif, icc_profile and xmp: a profile may name the owner's camera.
    small.save(content, "WEBP", quality=_QUALITY)
    return content.getvalue(), small.size
