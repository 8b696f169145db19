"""A model's best photos of an Immich album, and their scores as stars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.commands.bench.answers import read_journal
from ops.commands.bench.results import Method, Photo
from ops.errors import OpsError
from ops.report.words import count

_STARS = (1, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One of a model's best photos."""

    asset_id: str
    name: str
    score: float


def best(photos: Sequence[Photo], scores: Mapping[str, float], *, top: int) -> tuple[Pick, ...]:
    """Pick a model's best photos of an Immich album.

    Args:
        photos: The run's photos.
        scores: Image sha256 -> the model's score.
        top: Number of photos.

    Raises:
        OpsError: when no photo is from Immich, or none has a score.
    """
    if not any(photo.asset_id for photo in photos):
        raise OpsError("the run's photos are not from Immich, so they cannot be published there")
    picks = [
        Pick(asset_id=photo.asset_id, name=photo.name, score=scores[photo.image_sha256])
        for photo in photos
        if photo.asset_id and photo.failure is None and photo.image_sha256 in scores
    ]
    if not picks:
        raise OpsError("the model has no score for any photo; ask it first")
    return tuple(sorted(picks, key=lambda pick: (-pick.score, pick.asset_id))[:top])


def check_scale(run_dir: Path, method: Method | None) -> None:
    """Refuse scores that are not on a scale of 1 to 5, as stars are.

    Raises:
        OpsError: when stars would not mean what the models meant.
    """
    if method not in ("score", "rubric"):
        raise OpsError(
            f"--as is 'rating', but the scores of --method {method} are not on a scale of 1 to 5. "
            "Use --as tag or --as album, or --method score."
        )
    sessions = [
        session for session in read_journal(run_dir, "session") if session["method"] == method
    ]
    values = [label["value"] for label in sessions[-1]["provenance"]["rubric"]["labels"]]
    if (min(values), max(values)) != _STARS:
        raise OpsError(
            f"the values of the rubric's labels are {min(values):g} to {max(values):g}; expected "
            "1 to 5 for --as rating. Use --as tag or --as album."
        )


def stars(score: float) -> int:
    """Convert a score to Immich's 1 to 5 stars: the nearest, halves rounded up.

    Raises:
        OpsError: for a score of another scale.
    """
    if not 0.5 <= score <= 5.5:
        raise OpsError(
            f"a score is {score:g}; expected 1 to 5 for --as rating. Use --as tag or --as album."
        )
    return min(5, math.floor(score + 0.5))


def show(rating: int | None) -> str:
    """Return a rating in words."""
    return "unrated" if rating is None else "rejected" if rating == -1 else count(rating, "star")
