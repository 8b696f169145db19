"""Sample photos for a try without an album: photos of installed packages, and ladders of them.

A ladder spoils one photo step by step, so that the order is known and replaces a judgement.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from ops.commands.bench.album.judgement import JUDGEMENT_FILE
from ops.errors import OpsError

_EDGE_PX = 512
_PHOTOS = ("astronaut", "coffee", "chelsea", "rocket", "china", "flower")
_STEPS = 5
_KINDS_A_PHOTO = 3
_BEST = 5
"""The rating of an unspoiled photo; each step down the ladder costs one."""
_FAVOURITE = 4
"""The lowest rating of a favourite."""

Ladder = Callable[[Image.Image, int], Image.Image]
"""Spoils a photo; step 0 returns it unchanged."""


def write_sample_pictures(folder: Path, *, most: int) -> int:
    """Write at most `most` photos and a favourites.csv beside them.

    Returns:
        Number of photos.

    Raises:
        OpsError: when the packages that contain the photos are not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, picture, rating in _pictures(most):
        picture.save(folder / name, "JPEG", quality=92)
        rows.append((name, "yes" if rating >= _FAVOURITE else "no", rating))
    with (folder / JUDGEMENT_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "favourite", "rating"))
        writer.writerows(rows)
    return len(rows)


def _pictures(most: int) -> Iterator[tuple[str, Image.Image, int]]:
    """Yield every photo, then the first steps of all ladders, then the second steps, and so on."""
    photos = {name: _photo(name) for name in _PHOTOS}
    kinds = tuple(_LADDERS)
    steps = [(name, "", 0) for name in _PHOTOS]
    for step in range(1, _STEPS):
        for place, name in enumerate(_PHOTOS):
            for skip in range(_KINDS_A_PHOTO):
                steps.append((name, kinds[(place + skip) % len(kinds)], step))
    for name, kind, step in steps[:most]:
        if kind:
            yield f"{name}-{kind}-{step}.jpg", _LADDERS[kind](photos[name], step), _BEST - step
        else:
            yield f"{name}.jpg", photos[name], _BEST


def _photo(name: str) -> Image.Image:
    try:
        if name in ("china", "flower"):
            from sklearn.datasets import load_sample_image

            pixels: Any = load_sample_image(f"{name}.jpg")
        else:
            import skimage.data

            pixels = getattr(skimage.data, name)()
    except ImportError as error:
        raise OpsError(
            f"{error.name}, which contains sample photos, is not installed; run `make install`"
        ) from error
    photo = Image.fromarray(pixels).convert("RGB")
    photo.thumbnail((_EDGE_PX, _EDGE_PX))
    return photo


def _blurred(photo: Image.Image, step: int) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur((0, 1, 2, 4, 8)[step]))


def _darkened(photo: Image.Image, step: int) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance((1, 0.6, 0.35, 0.18, 0.07)[step])


def _over_exposed(photo: Image.Image, step: int) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance((1, 1.5, 2.2, 3.5, 6)[step])


def _noisy(photo: Image.Image, step: int) -> Image.Image:
    noise = np.random.default_rng(step).normal(
        0, (0, 10, 25, 50, 90)[step], (*photo.size[::-1], 3)
    )
    return Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8))


def _compressed(photo: Image.Image, step: int) -> Image.Image:
    content = io.BytesIO()
    photo.save(content, "JPEG", quality=(92, 40, 15, 6, 2)[step])
    return Image.open(content).convert("RGB")


def _tilted(photo: Image.Image, step: int) -> Image.Image:
    return photo.rotate((0, 5, 12, 25, 45)[step], Image.Resampling.BICUBIC)


_LADDERS: dict[str, Ladder] = {
    "blurred": _blurred,
    "darkened": _darkened,
    "over-exposed": _over_exposed,
    "noisy": _noisy,
    "compressed": _compressed,
    "tilted": _tilted,
}
