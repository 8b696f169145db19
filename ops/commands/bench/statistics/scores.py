"""A run's answers as one table: a score for each model and photo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops.commands.bench.results import Answer, Key, Method, ModelRun, Photo, Run
from ops.commands.bench.statistics.bradley_terry import strengths, without_position_bias

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The models' scores of the photos that were sent."""

    models: tuple[ModelRun, ...]
    photos: tuple[Photo, ...]
    answers: tuple[tuple[Answer, ...], ...]
    """One tuple per model, in order of arrival; one answer per question."""
    values: Floats
    """Models x photos; NaN: not asked, or failed."""
    asked: NDArray[np.bool_]
    """Models x photos."""


def scores_of(run: Run) -> Scores:
    """Join a run's answers by one method into one score per photo.

    score and rubric ask once. anchored asks once per anchor: the score is the mean if every anchor
    was answered, because fewer anchors would be another scale. pairwise asks about two photos: the
    scores are the strengths of Bradley and Terry's model, without position bias. If the directory
    contains answers to several prompts, those to the last one count.
    """
    photos = tuple(photo for photo in run.photos if photo.failure is None)
    place = {photo.image_sha256: index for index, photo in enumerate(photos)}
    method = method_of(run)
    of_method = [answer for answer in run.answers if answer.key.method == method]
    current = [
        answer
        for answer in of_method
        if answer.key.prompt_sha256 == of_method[-1].key.prompt_sha256
    ]
    answers = tuple(_answers_of(model, current, place) for model in run.models)
    values = np.full((len(run.models), len(photos)), np.nan)
    asked = np.zeros((len(run.models), len(photos)), bool)
    for row, of_model in enumerate(answers):
        if any(answer.key.method == "pairwise" for answer in of_model):
            values[row], asked[row] = _of_pairs(of_model, place)
        else:
            values[row], asked[row] = _of_photos(of_model, place)
    return Scores(models=run.models, photos=photos, answers=answers, values=values, asked=asked)


def method_of(run: Run) -> Method | None:
    """Return the method of the answers that count; None: nothing was asked yet."""
    return run.method or (run.answers[-1].key.method if run.answers else None)


def _answers_of(
    model: ModelRun, answers: Iterable[Answer], place: Mapping[str, int]
) -> tuple[Answer, ...]:
    """Take the last answer to each question: the one after a retry."""
    last: dict[Key, Answer] = {}
    for answer in answers:
        if answer.key.model_sha256 == model.sha256 and answer.key.image_sha256 in place:
            last.pop(answer.key, None)
            last[answer.key] = answer
    return tuple(last.values())


def _of_photos(
    answers: Sequence[Answer], place: Mapping[str, int]
) -> tuple[Floats, NDArray[np.bool_]]:
    values = np.full(len(place), np.nan)
    asked = np.zeros(len(place), bool)
    scores: dict[int, list[float]] = defaultdict(list)
    for answer in answers:
        index = place[answer.key.image_sha256]
        asked[index] = True
        scores[index].append(np.nan if answer.score is None else answer.score)
    questions = max(map(len, scores.values()), default=0)
    for index, of_photo in scores.items():
        if len(of_photo) == questions:
            values[index] = np.mean(of_photo)
    return values, asked


def _of_pairs(
    answers: Sequence[Answer], place: Mapping[str, int]
) -> tuple[Floats, NDArray[np.bool_]]:
    asked = np.zeros(len(place), bool)
    logits: dict[tuple[int, int], float] = {}
    for answer in answers:
        pair = _pair(answer.key, place)
        if pair is None:
            continue
        asked[list(pair)] = True
        if answer.score is not None:
            logits[pair] = answer.score
    return strengths(without_position_bias(logits), len(place)), asked


def _pair(key: Key, place: Mapping[str, int]) -> tuple[int, int] | None:
    """Return which photo was shown first and which second; None: the other is not of this run."""
    where, _, other_sha256 = key.order.partition(":")
    if other_sha256 not in place:
        return None
    pair = place[key.image_sha256], place[other_sha256]
    return pair if where == "2" else pair[::-1]
