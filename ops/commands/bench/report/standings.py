"""Each model's score and rank of each photo, for galleries, distributions and exports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from ops.commands.bench.results import Answer, Failure, ModelRun, Photo, Run
from ops.commands.bench.statistics.scores import scores_of
from ops.commands.bench.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One model's result for one photo."""

    score: float | None
    """None: it failed, or was not asked."""
    failure: Failure | None
    rank: float | None
    """1 is the best; photos with equal scores share their mean rank. None: not ranked."""
    criteria: Mapping[str, float] = field(default_factory=dict)
    """Criterion -> score, if the rubric's criteria were asked separately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """All photos as all models see them."""

    models: tuple[ModelRun, ...]
    compared: tuple[ModelRun, ...]
    """Models ranked on the photos that all of them answered."""
    photos: tuple[Photo, ...]
    places: Mapping[str, tuple[Place, ...]]
    """Model's id -> one place per photo, in the photos' order."""
    answers: Mapping[str, tuple[Answer, ...]]
    """Model's id -> its answers that count, one per question, in order of time."""

    def ranked(self, model: ModelRun) -> tuple[int, ...]:
        """Return the indices of the ranked photos, the best first."""
        ranks = [
            (place.rank, index)
            for index, place in enumerate(self.places[model.id])
            if place.rank is not None
        ]
        return tuple(index for _, index in sorted(ranks))

    def spread(self, index: int) -> float:
        """Return the distance between a photo's best and worst rank among the compared models."""
        ranks = [self.places[model.id][index].rank for model in self.compared]
        known = [rank for rank in ranks if rank is not None]
        return max(known) - min(known) if len(known) > 1 else 0.0


def standings_of(run: Run, summary: Summary) -> Standings:
    """Rank the photos by each model's scores; compared models on their common photos."""
    table = scores_of(run)
    answers = {
        model.id: tuple(sorted(own, key=lambda answer: answer.at))
        for model, own in zip(table.models, table.answers, strict=True)
    }
    scores = {
        model.id: {
            photo.image_sha256: float(score)
            for photo, score in zip(table.photos, row, strict=True)
            if not np.isnan(score)
        }
        for model, row in zip(table.models, table.values, strict=True)
    }
    failures: dict[str, dict[str, Failure]] = {}
    criteria: dict[str, dict[str, Mapping[str, float]]] = {}
    for model_id, own_answers in answers.items():
        failures[model_id] = {
            answer.key.image_sha256: answer.failure
            for answer in own_answers
            if answer.failure is not None
        }
        criteria[model_id] = {answer.key.image_sha256: answer.criteria for answer in own_answers}
    compared = tuple(model for model in run.models if model.id in summary.agreement.models)
    common = [
        index
        for index, photo in enumerate(run.photos)
        if compared and all(photo.image_sha256 in scores[model.id] for model in compared)
    ]
    places = {}
    for model in run.models:
        own = scores[model.id]
        values = [own.get(photo.image_sha256) for photo in run.photos]
        base = common if model in compared else range(len(run.photos))
        ranks = _ranks({index: score for index in base if (score := values[index]) is not None})
        places[model.id] = tuple(
            Place(
                score=values[index],
                failure=photo.failure or failures[model.id].get(photo.image_sha256)
                if values[index] is None
                else None,
                rank=ranks.get(index),
                criteria=criteria[model.id].get(photo.image_sha256, {}),
            )
            for index, photo in enumerate(run.photos)
        )
    return Standings(
        models=run.models, compared=compared, photos=run.photos, places=places, answers=answers
    )


def _ranks(scores: Mapping[int, float]) -> Mapping[int, float]:
    places: dict[float, list[int]] = defaultdict(list)
    for place, (_, score) in enumerate(sorted(scores.items(), key=lambda item: -item[1]), start=1):
        places[score].append(place)
    return {index: fmean(places[score]) for index, score in scores.items()}
