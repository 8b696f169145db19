"""Draw a sample of the photos."""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from ops.commands.bench.album.judgement import merged
from ops.commands.bench.album.source import Candidate


def without_duplicates(candidates: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], int]:
    """Merge equal files into one candidate, with the judgement of all of them.

    Returns:
        The photos in the order of their ids, and the number of duplicates.
    """
    equal: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda candidate: candidate.id):
        equal[candidate.original].append(candidate)
    once = tuple(
        dataclasses.replace(group[0], **dataclasses.asdict(merged(group)))
        for group in equal.values()
    )
    return once, len(candidates) - len(once)


def draw(candidates: Sequence[Candidate], *, sample: int | None, seed: int) -> list[Candidate]:
    """Draw the photos that tell models apart best.

    With ratings, draw equally many of each rating, because a rank correlation needs spread;
    unrated photos only fill up. With favourites alone, draw half favourites and half others: 100
    such photos tell as much as about 200 random ones. Otherwise draw at random.

    Args:
        candidates: All photos, in a stable order.
        sample: Number of photos to draw; None: all.
        seed: The same seed draws the same photos.
    """
    if sample is None or sample >= len(candidates):
        return list(candidates)
    chance = random.Random(seed)  # noqa: S311 - nothing is kept secret with it.
    shuffled = list(candidates)
    chance.shuffle(shuffled)
    groups: dict[object, list[Candidate]] = defaultdict(list)
    rule = rule_of(candidates)
    if rule == "ratings":
        for candidate in shuffled:
            groups[candidate.rating].append(candidate)
        unrated = groups.pop(None, [])
        drawn = _evenly(list(groups.values()), sample)
        return drawn + unrated[: sample - len(drawn)]
    if rule == "favourites":
        for candidate in shuffled:
            groups[candidate.favourite is True].append(candidate)
        return _evenly([groups[True], groups[False]], sample)
    return shuffled[:sample]


def rule_of(candidates: Sequence[Candidate]) -> Literal["ratings", "favourites", "chance"]:
    """Return what photos are drawn by: the judgement that more of them have."""
    rated = sum(candidate.rating is not None for candidate in candidates)
    favourites = sum(candidate.favourite is True for candidate in candidates)
    if rated >= max(favourites, 2):
        return "ratings"
    return "favourites" if favourites else "chance"


def _evenly(groups: list[list[Candidate]], sample: int) -> list[Candidate]:
    """Take one photo from each group in turn, until small groups are exhausted."""
    drawn: list[Candidate] = []
    for place in range(max(map(len, groups))):
        drawn += [group[place] for group in groups if place < len(group)]
    return drawn[:sample]
