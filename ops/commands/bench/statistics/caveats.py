"""What limits a verdict, and sentences on how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf

from ops.commands.bench.results import Run
from ops.commands.bench.statistics.scores import method_of
from ops.commands.bench.statistics.standing import Evidence
from ops.commands.bench.statistics.wording import name_of
from ops.commands.bench.summary import ModelSummary
from ops.report.words import count

_NOTABLE = 0.02
"""Share of answers from which a sentence is written."""


def limits(run: Run, models: Sequence[ModelSummary], evidence: Evidence) -> tuple[str, ...]:
    """Write what a reader of the headline alone would be misled without."""
    return (
        *_judged_again(run),
        *_left_out(models, evidence),
        *_unfinished(evidence),
        *_other_leader(evidence),
    )


def caveats(
    run: Run, models: Sequence[ModelSummary], evidence: Evidence, *, share: float | None
) -> tuple[str, ...]:
    """Write the caveats, the weightiest first."""
    return (
        *_failures(evidence),
        *_low_mass(models),
        *_swaps(run),
        *_constant(run),
        *_photos(run),
        *_bursts(run),
        *_sample(evidence, share),
    )


def _judged_again(run: Run) -> list[str]:
    judged_at = max(run.provenance.get("judged_again_at", ()), default=0.0)
    if judged_at <= min((answer.at for answer in run.answers), default=inf):
        return []
    return [
        "Your judgement was read again after the models had answered: it counts only if you had "
        "not seen their scores."
    ]


def _left_out(models: Sequence[ModelSummary], evidence: Evidence) -> list[str]:
    if not evidence.models:
        return []
    compared = {model.id for model in evidence.models}
    most = max(model.asked for model in models)
    return [
        f"{name_of(model)} is not compared: it answered {model.answered} of {most} "
        f"questions{_missing(model, most)}, and half of them are needed."
        for model in models
        if model.id not in compared and model.asked
    ] + [
        f"{name_of(model)} was not asked yet and is not compared."
        for model in models
        if not model.asked
    ]


def _missing(model: ModelSummary, most: int) -> str:
    reasons = [(model.asked - model.answered, "failed"), (most - model.asked, "were not asked")]
    counts = [f"{number} {reason}" for number, reason in reasons if number]
    return f" ({', '.join(counts)})" if counts else ""


def _failures(evidence: Evidence) -> list[str]:
    sentences = []
    for model in evidence.models:
        failed = model.asked - model.answered
        if not failed:
            continue
        classes = ", ".join(f"{name} {number}" for name, number in model.failures.items())
        sentences.append(
            f"{name_of(model)} failed on {failed} of {model.asked} questions ({classes}); "
            "photos that some model did not answer are not compared."
        )
    return sentences


def _other_leader(evidence: Evidence) -> list[str]:
    """Report that counting failures as the lowest score changes which model leads."""
    metric = evidence.metric
    if metric is None or not any(model.failures for model in evidence.models):
        return []
    leader = max(evidence.models, key=lambda model: model.owner[metric].value)
    worst = max(evidence.models, key=lambda model: model.worst_case[metric])
    if worst.worst_case[metric] <= leader.worst_case[metric]:
        return []
    return [
        f"With each failure counted as the lowest score, {name_of(worst)} would be ahead of "
        f"{name_of(leader)}."
    ]


def _low_mass(models: Sequence[ModelSummary]) -> list[str]:
    return [
        f"{name_of(model)} wanted to say something other than a label in {model.low_mass} "
        f"of {model.answered} answers: its scores there are guesses."
        for model in models
        if model.low_mass > _NOTABLE * model.answered
    ]


def _unfinished(evidence: Evidence) -> list[str]:
    most = max((model.asked for model in evidence.models), default=0)
    return [
        f"{name_of(model)} was asked {model.asked} of {most} questions: the run is not "
        "finished, and the other models' further photos are not compared."
        for model in evidence.models
        if model.asked < most
    ]


def _swaps(run: Run) -> list[str]:
    return [
        f"{name_of(model)} was loaded {model.loads} times: another client took the GPU, "
        "or its engine stopped; answers that waited for a load are excluded from the times."
        for model in run.models
        if model.loads > 1
    ]


def _constant(run: Run) -> list[str]:
    sentences = []
    method = method_of(run)
    asked = "pair" if method == "pairwise" else "photo"
    for model in run.models:
        scores = [
            answer.score
            for answer in run.answers
            if answer.key.model_sha256 == model.sha256
            and answer.key.method == method
            and answer.score is not None
        ]
        if len(scores) > 1 and len(set(scores)) == 1:
            sentences.append(
                f"{name_of(model)} gave the score {scores[0]:g} to every {asked}: it "
                "tells none of them apart."
            )
    return sentences


def _photos(run: Run) -> list[str]:
    failures = Counter(photo.failure for photo in run.photos if photo.failure is not None)
    if not failures:
        return []
    classes = ", ".join(f"{name} {number}" for name, number in failures.most_common())
    return [f"{failures.total()} of {len(run.photos)} photos could not be sent ({classes})."]


def _bursts(run: Run) -> list[str]:
    sizes = Counter(photo.burst for photo in run.photos if photo.failure is None)
    bursts = [size for size in sizes.values() if size > 1]
    if not bursts:
        return []
    return [
        f"{sum(bursts)} photos belong to {count(len(bursts), 'burst')}; each burst counts as one "
        "draw, which widens the intervals."
    ]


def _sample(evidence: Evidence, share: float | None) -> list[str]:
    if share is None or not evidence.favourite_share:
        return []
    return [
        f"Favourites are {_percent(share)} of the album and {_percent(evidence.favourite_share)} "
        "of the compared photos: the metrics of the best k photos are weighted back to "
        "the album's share."
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.01 else 1}f} %"
