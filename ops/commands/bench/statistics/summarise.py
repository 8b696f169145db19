"""Turn a run's answers into its summary: `summarise` is the only entry to the statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from ops.commands.bench.results import Run
from ops.commands.bench.statistics.agreement import agreement_of
from ops.commands.bench.statistics.bootstrap import wilson
from ops.commands.bench.statistics.caveats import caveats, limits
from ops.commands.bench.statistics.comparison import (
    Estimate,
    differences,
    estimates,
    judgement_of,
    main_metric,
    worst_case,
)
from ops.commands.bench.statistics.scores import Scores, scores_of
from ops.commands.bench.statistics.sentences import of_loading
from ops.commands.bench.statistics.speed import speed_of
from ops.commands.bench.statistics.standing import Evidence
from ops.commands.bench.statistics.steps import steps
from ops.commands.bench.statistics.verdict import decide
from ops.commands.bench.summary import Interval, ModelSummary, OwnerMetric, Summary, Verdict

_LOW_MASS = 0.5


def summarise(
    run: Run,
    *,
    margin: float = 0.05,
    resamples: int = 2000,
    seed: int = 1,
    top_k: int | None = None,
) -> Summary:
    """Summarise a run in numbers and in words.

    Models are compared on the photos that all of them answered. A model that answered less than
    half of the most questions asked of any model is not compared, whether it failed or was
    skipped: it would leave too few photos for the others.

    Args:
        run: Finished or not.
        margin: Smaller differences of the deciding metric (0 to 1) do not matter.
        resamples: Number of draws for the intervals.
        seed: Of the draws: the same run and seed give the same summary.
        top_k: Number of photos the owner would post (default: a tenth of the common ones).
    """
    scores = scores_of(run)
    answered = ~np.isnan(scores.values)
    most = scores.asked.sum(axis=1).max(initial=0)
    kept = np.flatnonzero((2 * answered.sum(axis=1) >= most) & answered.any(axis=1))
    common = np.flatnonzero(answered[kept].all(axis=0) & bool(len(kept)))
    table = scores.values[np.ix_(kept, common)]
    judgement = judgement_of([scores.photos[index] for index in common])
    top_k = top_k or max(1, round(len(common) / 10))
    share = _favourite_share(run)

    estimated = estimates(
        table, judgement, top_k=top_k, share=share, resamples=resamples, seed=seed
    )
    asked_of_all = np.flatnonzero(scores.asked[kept].all(axis=0) & bool(len(kept)))
    worst = worst_case(
        scores.values[np.ix_(kept, asked_of_all)],
        judgement_of([scores.photos[index] for index in asked_of_all]),
        top_k=top_k,
        share=share,
    )
    models = tuple(
        _model_summary(scores, row, list(kept), estimated, worst) for row in range(len(run.models))
    )
    ids = tuple(run.models[row].id for row in kept)
    metric = main_metric(judgement)
    compared = differences(estimated[metric], ids, margin=margin) if metric else ()
    agreed = agreement_of(ids, table, scores.values[kept], top_k=top_k)
    known = [photo.favourite for photo in run.photos if photo.favourite is not None]
    evidence = Evidence(
        models=tuple(models[row] for row in kept),
        asked=tuple(model for model in models if model.asked),
        metric=metric,
        differences=compared,
        agreement=agreed,
        photos=len(common),
        favourite_share=judgement.favourites / max(1, judgement.favourites + judgement.others),
        judged=judgement.in_words(),
        margin=margin,
        random_weights=run.random_weights,
    )
    verdict = _verdict(run, models, evidence, share)
    return Summary(
        verdict=verdict,
        models=_in_order(models, verdict),
        differences=compared,
        agreement=agreed,
        loading=run.loading,
        photos=len(run.photos),
        common=len(common),
        favourites=sum(known) if known else None,
        rated=sum(photo.rating is not None for photo in run.photos),
        top_k=top_k,
        margin=margin,
        resamples=resamples,
        seed=seed,
    )


def _verdict(
    run: Run, models: Sequence[ModelSummary], evidence: Evidence, share: float | None
) -> Verdict:
    verdict = decide(evidence)
    loading = [] if run.loading is None else [of_loading(run.loading, models)]
    return replace(
        verdict,
        figures=(*verdict.figures, *limits(run, models, evidence), *loading),
        steps=tuple(steps(run, evidence, verdict.more_photos)),
        caveats=caveats(run, models, evidence, share=share),
    )


def _in_order(models: Sequence[ModelSummary], verdict: Verdict) -> tuple[ModelSummary, ...]:
    """Put the model to take first, then the others by the deciding metric, if there is one."""

    def place(model: ModelSummary) -> tuple[bool, float]:
        quality = model.owner.get(verdict.metric) if verdict.metric else None
        return model.id != verdict.take, inf if quality is None else -quality.value

    return tuple(sorted(models, key=place))


def _model_summary(
    scores: Scores,
    row: int,
    kept: list[int],
    estimated: Mapping[OwnerMetric, Estimate],
    worst: Sequence[Mapping[OwnerMetric, float]],
) -> ModelSummary:
    model, answers = scores.models[row], scores.answers[row]
    failures = Counter(answer.failure for answer in answers if answer.failure is not None)
    failed = sum(answer.score is None for answer in answers)
    low, high = wilson(failed, len(answers))
    place = kept.index(row) if row in kept else None
    return ModelSummary(
        id=model.id,
        name=model.name,
        answered=len(answers) - failed,
        asked=len(answers),
        failures=dict(failures.most_common()),
        failure_rate=Interval(value=failed / max(1, len(answers)), low=low, high=high),
        low_mass=sum(
            answer.score is not None and answer.mass is not None and answer.mass < _LOW_MASS
            for answer in answers
        ),
        owner={}
        if place is None
        else {metric: estimate.interval(place) for metric, estimate in estimated.items()},
        worst_case={} if place is None else {metric: worst[place][metric] for metric in estimated},
        speed=speed_of(model, answers),
    )


def _favourite_share(run: Run) -> float | None:
    """Read the share of favourites in the album, recorded if photos were drawn by them."""
    share = run.provenance.get("favourite_share")
    return float(share) if isinstance(share, int | float) and 0 < share < 1 else None
