"""Photos for the tests: from installed packages, and made."""

from __future__ import annotations

import importlib.util
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION, DATE_TIME_ORIGINAL, EXIF_IFD = 0x0112, 0x9003, 0x8769


@cache
def installed_photos() -> dict[str, Image.Image]:
    """Real photos that are in the wheels of scikit-image and scikit-learn."""
    photos = {}
    data = _package("skimage") / "data"
    images = _package("sklearn") / "datasets" / "images"
    for path in sorted([*data.glob("*.png"), *data.glob("*.jpg"), *images.glob("*.jpg")]):
        with Image.open(path) as image:
            if min(image.size) >= 200 and image.mode in ("RGB", "L", "RGBA"):
                photos[path.stem] = image.convert("RGB")
    return photos


def _package(name: str) -> Path:
    """The path of an installed package; an import would take seconds."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def jpeg(image: Image.Image, **options: Any) -> bytes:
    return encoded(image, "JPEG", **{"quality": 90, **options})


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, image_format, **options)
    return content.getvalue()


def decoded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def photo(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A smooth picture; each seed gives another."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC)


def jpeg_photo(seed: int, **options: Any) -> bytes:
    return jpeg(photo(seed), **options)


def distance(first: Image.Image, second: Image.Image) -> float:
    """The mean difference of two pictures' values, 0 to 255."""
    assert first.size == second.size
    values = [np.asarray(image.convert("RGB"), dtype=np.int16) for image in (first, second)]
    return float(np.abs(values[0] - values[1]).mean())
