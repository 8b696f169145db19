"""Each model's score and place of each photo: what galleries, distributions and exports show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ops.photo_bench.results import Answer, Failure, Key, ModelRun, Photo, Run
from ops.photo_bench.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What one model made of one photo."""

    score: float | None
    """None: it failed, or was not asked."""
    failure: Failure | None
    rank: float | None
    """1 is the best; photos of one score share their mean place. None: it is not ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """All photos as all models see them."""

    models: tuple[ModelRun, ...]
    compared: tuple[ModelRun, ...]
    """Those whose ranks are of the photos that all of them answered."""
    photos: tuple[Photo, ...]
    places: Mapping[str, tuple[Place, ...]]
    """Model's id -> one place a photo, in the photos' order."""

    def ranked(self, model: ModelRun) -> tuple[int, ...]:
        """Give the indices of the photos that have a place, the best first."""
        ranks = [
            (place.rank, index)
            for index, place in enumerate(self.places[model.id])
            if place.rank is not None
        ]
        return tuple(index for _, index in sorted(ranks))

    def spread(self, index: int) -> float:
        """Give the distance between a photo's best and worst place among the compared models."""
        ranks = [self.places[model.id][index].rank for model in self.compared]
        known = [each for each in ranks if each is not None]
        return max(known) - min(known) if len(known) > 1 else 0.0


def standings_of(run: Run, summary: Summary) -> Standings:
    """Rank the photos by each model's scores.

    Args:
        run: With its answers.
        summary: Says which models are compared, that is, answered enough.
    """
    answers = latest(run)
    scores = {model.id: _scores(answers[model.id]) for model in run.models}
    failures: dict[str, dict[str, Failure]] = {
        model.id: {
            each.key.image_sha256: each.failure
            for each in answers[model.id]
            if each.failure is not None
        }
        for model in run.models
    }
    compared = tuple(each for each in run.models if each.id in summary.agreement.models)
    common = [
        index
        for index, photo in enumerate(run.photos)
        if compared and all(photo.image_sha256 in scores[each.id] for each in compared)
    ]
    places = {}
    for model in run.models:
        own = scores[model.id]
        values = [own.get(photo.image_sha256) for photo in run.photos]
        base = common if model in compared else range(len(run.photos))
        ranks = _ranks({index: each for index in base if (each := values[index]) is not None})
        places[model.id] = tuple(
            Place(
                score=values[index],
                failure=photo.failure or failures[model.id].get(photo.image_sha256)
                if values[index] is None
                else None,
                rank=ranks.get(index),
            )
            for index, photo in enumerate(run.photos)
        )
    return Standings(models=run.models, compared=compared, photos=run.photos, places=places)


def latest(run: Run) -> Mapping[str, tuple[Answer, ...]]:
    """Give each model's last answer to each question of the last prompt, in order of time."""
    found: dict[str, dict[Key, Answer]] = {model.id: {} for model in run.models}
    current = {model.id: model.sha256 for model in run.models}
    prompt = run.answers[-1].key.prompt_sha256 if run.answers else ""
    for answer in run.answers:
        if (
            current.get(answer.model) == answer.key.model_sha256
            and answer.key.prompt_sha256 == prompt
        ):
            found[answer.model].pop(answer.key, None)
            found[answer.model][answer.key] = answer
    return {
        model: tuple(sorted(each.values(), key=lambda answer: answer.at))
        for model, each in found.items()
    }


def _scores(answers: Sequence[Answer]) -> Mapping[str, float]:
    """Give one score a photo: the mean over its questions, where all of them were answered.

    A pair's logit speaks for the one photo as it speaks against the other.
    """
    values: dict[str, list[float | None]] = defaultdict(list)
    for answer in answers:
        values[answer.key.image_sha256].append(answer.score)
        if answer.key.method == "pairwise":
            other = answer.key.order.partition(":")[2]
            values[other].append(None if answer.score is None else -answer.score)
    found = {}
    for image, several in values.items():
        known = [each for each in several if each is not None]
        if known and (len(known) == len(several) or answers[0].key.method == "pairwise"):
            found[image] = fmean(known)
    return found


def _ranks(scores: Mapping[int, float]) -> Mapping[int, float]:
    places: dict[float, list[int]] = defaultdict(list)
    for place, (_, score) in enumerate(sorted(scores.items(), key=lambda item: -item[1]), start=1):
        places[score].append(place)
    return {index: fmean(places[score]) for index, score in scores.items()}
