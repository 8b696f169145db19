"""The order of questions: the same for every model, and fair wherever it stops."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ops.commands.bench.results import Key, Method, Photo

_BLOCK = 10
"""Photos between two anchors: each change of the anchor costs the prompt of one photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request: a photo, and for two-photo methods another one before or after it."""

    image_sha256: str
    other: str = ""
    """The other photo's sha256; empty: no other photo."""
    other_first: bool = False

    @property
    def images(self) -> tuple[str, ...]:
        """The photos in the order in which they are sent."""
        if not self.other:
            return (self.image_sha256,)
        pair = (self.image_sha256, self.other)
        return pair[::-1] if self.other_first else pair

    def key(self, method: Method, prompt_sha256: str, model_sha256: str) -> Key:
        """Return the key that identifies its answer."""
        order = f"{1 if self.other_first else 2}:{self.other}" if self.other else ""
        return Key(
            model_sha256=model_sha256,
            prompt_sha256=prompt_sha256,
            image_sha256=self.image_sha256,
            method=method,
            order=order,
        )


Unit = tuple[Question, ...]
"""Asked as a whole or not at all: a photo, a pair in both orders, or a block
of photos with every anchor."""


def sent(photos: Sequence[Photo]) -> tuple[str, ...]:
    """List the photos that can be sent, each once, in the run's order."""
    images = [photo.image_sha256 for photo in photos if photo.image_sha256 and not photo.failure]
    return tuple(dict.fromkeys(images))


def of_photos(images: Sequence[str]) -> tuple[Unit, ...]:
    """Ask about one photo after the other."""
    return tuple((Question(image_sha256=image),) for image in images)


def of_anchors(images: Sequence[str], anchors: Sequence[str]) -> tuple[Unit, ...]:
    """Compare each photo with each anchor, which comes first and stays in the server's cache.

    An anchor is also compared with itself, which ranks it among the others.
    """
    blocks = [images[at : at + _BLOCK] for at in range(0, len(images), _BLOCK)]
    return tuple(
        tuple(
            Question(image_sha256=image, other=anchor, other_first=True)
            for anchor in anchors
            for image in block
        )
        for block in blocks
    )


def of_pairs(shortlist: Sequence[str], *, pairs_per_photo: int, seed: int) -> tuple[Unit, ...]:
    """Compare random pairs of a shortlist, each in both orders.

    The first pairs form a ring through all photos, so that each photo is ranked early.

    Args:
        shortlist: At least two photos.
        pairs_per_photo: Number of pairs that contain each photo, on average.
        seed: Of the draw.
    """
    draw = random.Random(seed)  # noqa: S311 (a draw of photos, no secret)
    ring = list(shortlist)
    draw.shuffle(ring)
    pairs = [tuple(sorted(pair)) for pair in zip(ring, [*ring[1:], ring[0]], strict=True)]
    others = [
        (first, second)
        for place, first in enumerate(sorted(shortlist))
        for second in sorted(shortlist)[place + 1 :]
    ]
    draw.shuffle(others)
    chosen = list(dict.fromkeys([*pairs, *others]))
    wanted = max(len(shortlist) - 1, len(shortlist) * pairs_per_photo // 2)
    return tuple(
        (
            Question(image_sha256=first, other=second),
            Question(image_sha256=second, other=first),
        )
        for first, second in chosen[:wanted]
    )
