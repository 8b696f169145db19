"""Sentences that belong under a verdict: what weakens it, and how to get a better one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf

from ops.commands.bench.results import Run
from ops.commands.bench.statistics.scores import method_of
from ops.commands.bench.statistics.standing import Evidence
from ops.commands.bench.summary import ModelSummary, OwnerMetric
from ops.report.words import count

_NOTABLE = 0.02
"""Of an answer's share, or of a metric: less is not worth a sentence."""


def caveats(
    run: Run, models: Sequence[ModelSummary], evidence: Evidence, *, share: float | None
) -> tuple[str, ...]:
    """Write them, the weightiest first."""
    return tuple(
        [
            *_methods(run),
            *_judgement(evidence),
            *_judged_again(run),
            *_left_out(models, evidence),
            *_failures(evidence),
            *_low_mass(models),
            *_unfinished(evidence),
            *_swaps(run),
            *_constant(run),
            *_photos(run),
            *_bursts(run),
            *_sample(evidence, share),
        ]
    )


def _methods(run: Run) -> list[str]:
    """Say what is shown of a run that was asked by several methods."""
    shown = method_of(run)
    others = sorted({each.key.method for each in run.answers} - {shown})
    if not others:
        return []
    return [
        f"All of this is by the method {shown}. The run also holds answers by "
        f"{' and '.join(others)}: `bench report --method {others[0]}` shows them."
    ]


def _judgement(evidence: Evidence) -> list[str]:
    if evidence.sufficient or not evidence.models:
        return []
    return [
        "To learn which model is the best, mark favourites in Immich or in favourites.csv beside "
        "the photos, without looking at these scores; `bench report --judge-again` reads them and "
        "asks no model anything. About 50 favourites among 100 photos, or 100 ratings, show a "
        "large difference."
    ]


def _judged_again(run: Run) -> list[str]:
    judged_at = max(run.provenance.get("judged_again_at", ()), default=0.0)
    if judged_at <= min((each.at for each in run.answers), default=inf):
        return []
    return [
        "Your judgement was read again after the models had answered: it counts if you had not "
        "seen their scores."
    ]


def _left_out(models: Sequence[ModelSummary], evidence: Evidence) -> list[str]:
    if not evidence.models:
        return []
    compared = {each.id for each in evidence.models}
    most = max(each.asked for each in models)
    return [
        f"{each.name or each.id} is not compared: it answered {each.answered} of {most} "
        f"questions{_missing(each, most)}, and half of them are needed."
        for each in models
        if each.id not in compared and each.asked
    ] + [
        f"{each.name or each.id} was not asked yet, and is not compared."
        for each in models
        if not each.asked
    ]


def _missing(model: ModelSummary, most: int) -> str:
    reasons = [(model.asked - model.answered, "failed"), (most - model.asked, "were not asked")]
    found = [f"{number} {reason}" for number, reason in reasons if number]
    return f" ({', '.join(found)})" if found else ""


def _failures(evidence: Evidence) -> list[str]:
    found = []
    for each in evidence.models:
        failed = each.asked - each.answered
        if not failed:
            continue
        classes = ", ".join(f"{name} {number}" for name, number in each.failures.items())
        found.append(
            f"{each.name or each.id} failed on {failed} of {each.asked} questions ({classes}); "
            "photos without an answer of every model are not compared."
        )
    if found and evidence.metric is not None and len(evidence.models) > 1:
        found += _other_leader(evidence.models, evidence.metric)
    return found


def _other_leader(models: Sequence[ModelSummary], metric: OwnerMetric) -> list[str]:
    """Say so if failures, counted as the lowest score, change which model leads."""
    leader = max(models, key=lambda each: each.owner[metric].value)
    worst = max(models, key=lambda each: each.worst_case.get(metric, -1.0))
    lead = worst.worst_case.get(metric, -1.0) - leader.worst_case.get(metric, -1.0)
    if lead <= 0:
        return []
    return [
        f"With each failure counted as the lowest score {worst.name or worst.id} would be ahead "
        f"of {leader.name or leader.id}."
    ]


def _low_mass(models: Sequence[ModelSummary]) -> list[str]:
    return [
        f"{each.name or each.id} wanted to say something other than a label in {each.low_mass} "
        f"of {each.answered} answers: its scores there are guesses."
        for each in models
        if each.low_mass > _NOTABLE * each.answered
    ]


def _unfinished(evidence: Evidence) -> list[str]:
    most = max((each.asked for each in evidence.models), default=0)
    return [
        f"{each.name or each.id} was asked {each.asked} of {most} questions: the run is not "
        "finished, and the other models' further photos are not compared."
        for each in evidence.models
        if each.asked < most
    ]


def _swaps(run: Run) -> list[str]:
    return [
        f"{each.name or each.id} was loaded {each.loads} times: another client took the GPU "
        "meanwhile, or its engine ended; answers that waited for it are left out of the times."
        for each in run.models
        if each.loads > 1
    ]


def _constant(run: Run) -> list[str]:
    found = []
    method = method_of(run)
    asked = "pair" if method == "pairwise" else "photo"
    for model in run.models:
        scores = [
            each.score
            for each in run.answers
            if each.key.model_sha256 == model.sha256
            and each.key.method == method
            and each.score is not None
        ]
        if len(scores) > 1 and len(set(scores)) == 1:
            found.append(
                f"{model.name or model.id} gave the score {scores[0]:g} to every {asked}: it "
                "tells none of them apart."
            )
    return found


def _photos(run: Run) -> list[str]:
    failures = Counter(each.failure for each in run.photos if each.failure is not None)
    if not failures:
        return []
    classes = ", ".join(f"{name} {number}" for name, number in failures.most_common())
    return [f"{failures.total()} of {len(run.photos)} photos could not be sent ({classes})."]


def _bursts(run: Run) -> list[str]:
    sizes = Counter(each.burst for each in run.photos if each.failure is None)
    bursts = [size for size in sizes.values() if size > 1]
    if not bursts:
        return []
    return [
        f"{sum(bursts)} photos are of {count(len(bursts), 'burst')}, which count as one draw "
        "each: the intervals are as wide as that makes them."
    ]


def _sample(evidence: Evidence, share: float | None) -> list[str]:
    if share is None or not evidence.favourites:
        return []
    drawn = evidence.favourites / (evidence.favourites + evidence.others)
    return [
        f"Favourites are {_percent(share)} of the album and {_percent(drawn)} of the photos that "
        "are compared: what is said of the best k photos is weighted back to the album's share."
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.01 else 1}f} %"
