"""Bursts: photos taken within seconds of each other, or nearly the same, count as one draw."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ops.commands.bench.results import Photo

_WITHIN_S = 10.0
_ALIKE_BITS = 6
"""Of 64 bits; photos of different things differ in about 32."""
_CLOCKLESS = 30
"""More photos of the same second come from a scanner or an export, not from one moment."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A photo and its look."""

    photo: Photo
    look: int | None
    """The 64 bits of `Prepared.look`; None: the photo could not be prepared."""


def number_bursts(shots: Sequence[Shot]) -> tuple[Photo, ...]:
    """Number the bursts in order of appearance, and give each photo its burst's number."""
    leads = list(range(len(shots)))

    def lead(index: int) -> int:
        while leads[index] != index:
            leads[index] = leads[leads[index]]
            index = leads[index]
        return index

    for first, second in [*_close_in_time(shots), *_alike(shots)]:
        leads[max(lead(first), lead(second))] = min(lead(first), lead(second))
    numbers: dict[int, int] = {}
    return tuple(
        dataclasses.replace(shot.photo, burst=numbers.setdefault(lead(index), len(numbers)))
        for index, shot in enumerate(shots)
    )


def _close_in_time(shots: Sequence[Shot]) -> list[tuple[int, int]]:
    counts = Counter(shot.photo.taken_at for shot in shots)
    timed = sorted(
        (shot.photo.taken_at, index)
        for index, shot in enumerate(shots)
        if shot.photo.taken_at is not None and counts[shot.photo.taken_at] <= _CLOCKLESS
    )
    return [
        (first, second)
        for (earlier, first), (later, second) in pairwise(timed)
        if later - earlier <= _WITHIN_S
    ]


def _alike(shots: Sequence[Shot]) -> list[tuple[int, int]]:
    indices = [index for index, shot in enumerate(shots) if shot.look is not None]
    looks = np.array([shots[index].look for index in indices], dtype=np.uint64)
    pairs = []
    for place in range(len(indices)):
        distances = np.bitwise_count(looks[place + 1 :] ^ looks[place])
        for ahead in np.flatnonzero(distances <= _ALIKE_BITS):
            pairs.append((indices[place], indices[place + 1 + int(ahead)]))
    return pairs
