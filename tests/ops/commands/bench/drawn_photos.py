"""Drawn photos: hills under a sky, by seed."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

_SKIES = (
    ((28, 58, 112), (236, 170, 120)),
    ((90, 150, 214), (222, 236, 246)),
    ((52, 40, 92), (240, 128, 108)),
    ((120, 160, 170), (246, 226, 190)),
    ((14, 24, 52), (70, 96, 140)),
    ((200, 120, 90), (250, 222, 160)),
)


def drawn_photo(seed: int, *, width: int = 512, spoiled: int = 0) -> Image.Image:
    """Draw a landscape.

    Args:
        seed: Decides the landscape.
        width: In pixels; every fourth one stands upright.
        spoiled: 0 is sharp and well exposed, 4 is neither.
    """
    random = np.random.default_rng(seed)
    height = width * 3 // 4 if seed % 4 else width * 4 // 3
    top, bottom = (np.array(colour, float) for colour in _SKIES[seed % len(_SKIES)])
    y = np.linspace(0, 1, height)[:, None, None]
    picture = np.broadcast_to(top * (1 - y) + bottom * y, (height, width, 3)).copy()
    rows, columns = np.mgrid[0:height, 0:width]
    sun_x, sun_y = random.uniform(0.15, 0.85) * width, random.uniform(0.15, 0.45) * height
    distance = np.hypot(columns - sun_x, rows - sun_y) / width
    glow = np.clip(1 - distance / random.uniform(0.3, 0.6), 0, 1)[..., None] ** 2
    picture += glow * 90
    picture[distance < random.uniform(0.03, 0.07)] = (255, 244, 214)
    x = np.linspace(0, 1, width)
    layers = int(random.integers(3, 6))
    for layer in range(layers):
        depth = (layer + 1) / layers
        ridge = np.full(width, 0.48 + 0.36 * layer / layers)
        for octave in range(1, 6):
            ridge = ridge + 0.055 / octave * np.sin(
                2 * np.pi * (x * octave * random.uniform(0.6, 1.7) + random.uniform())
            )
        ground = bottom * (1 - depth) * 0.75 + np.array([22, 38, 44]) * depth
        picture[rows > ridge * height] = ground + random.normal(0, 6, 3)
    picture += random.normal(0, 3 + 9 * spoiled, picture.shape)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    if spoiled:
        image = image.filter(ImageFilter.GaussianBlur(spoiled * 1.6))
        image = ImageEnhance.Brightness(image).enhance(1 - 0.11 * spoiled)
    return image


def write_drawn_photo(images: Path, seed: int, *, width: int = 512, spoiled: int = 0) -> str:
    """Write a photo as a run keeps it, and return its sha256."""
    content = io.BytesIO()
    drawn_photo(seed, width=width, spoiled=spoiled).save(content, "JPEG", quality=85)
    sha256 = hashlib.sha256(content.getvalue()).hexdigest()
    images.mkdir(parents=True, exist_ok=True)
    (images / f"{sha256}.jpg").write_bytes(content.getvalue())
    return sha256
