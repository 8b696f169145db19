"""The failures by class, with examples in the models' own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ops.commands.bench.report.standings import Standings
from ops.commands.bench.results import Failure
from ops.commands.bench.words import FAILURES, clean, cut

_EXAMPLES = 5
_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One failure."""

    photo: str
    model: str
    raw: str
    """Shortened; empty: there was no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureClass:
    """All failures of one class."""

    name: Failure
    meaning: str
    counts: tuple[int, ...]
    """One per model."""
    total: int
    photos: int
    """Photos that could not be sent to any model."""
    examples: tuple[Example, ...]


def failures_of(standings: Standings) -> Sequence[FailureClass]:
    """Group a run's failures, the most frequent class first."""
    names = {photo.image_sha256: photo.name for photo in reversed(standings.photos)}
    answers = standings.answers
    counts = {
        model.id: Counter(answer.failure for answer in answers[model.id] if answer.failure)
        for model in standings.models
    }
    photos = Counter(photo.failure for photo in standings.photos if photo.failure)
    examples: dict[Failure, list[Example]] = {}
    for photo in standings.photos:
        if photo.failure:
            examples.setdefault(photo.failure, []).append(
                Example(photo=cut(photo.name), model="", raw="")
            )
    for model in standings.models:
        for answer in answers[model.id]:
            if answer.failure:
                examples.setdefault(answer.failure, []).append(
                    Example(
                        photo=cut(names.get(answer.key.image_sha256, "")),
                        model=cut(model.name or model.id),
                        raw=_raw(answer.raw),
                    )
                )
    classes = [
        FailureClass(
            name=failure,
            meaning=FAILURES.get(failure, ""),
            counts=tuple(counts[model.id][failure] for model in standings.models),
            total=sum(counts[model.id][failure] for model in standings.models),
            photos=photos[failure],
            examples=tuple(of_class[:_EXAMPLES]),
        )
        for failure, of_class in examples.items()
    ]
    return sorted(classes, key=lambda failure_class: -(failure_class.total + failure_class.photos))


def _raw(text: str) -> str:
    shown = clean(text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
