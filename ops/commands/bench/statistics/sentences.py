"""The figures below a verdict's headline: short sentences, without statistical terms but 95 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import isinf

from ops.commands.bench.results import Loading
from ops.commands.bench.statistics import costs
from ops.commands.bench.statistics.comparison import MIN_OF_A_KIND, MIN_PHOTOS
from ops.commands.bench.statistics.standing import (
    Evidence,
    Standing,
    answer_s,
    comparison_of,
    fastest,
    is_better,
)
from ops.commands.bench.statistics.wording import (
    RATING_SCALE,
    ends,
    margin_of,
    name_of,
    names_of,
    value_of,
)
from ops.commands.bench.summary import ModelSummary
from ops.commands.bench.words import number, seconds
from ops.report.words import count

Figures = tuple[str, ...]

_EQUAL = 1e-9
"""Smaller differences of the metric are rounding errors."""


def decided(evidence: Evidence, standing: Standing) -> Figures:
    """One model is better than every other."""
    leader, nearest = standing.leader, standing.behind[0]
    return (
        _compared(evidence, leader, nearest),
        _lead(evidence, leader, nearest),
        *costs.price(leader, standing.behind),
    )


def equivalent(evidence: Evidence, standing: Standing, take: ModelSummary) -> Figures:
    """Several models are equally good, and one of them is the fastest."""
    rest = [model for model in standing.group if model is not take]
    alike = [model for model in rest if comparison_of(evidence, take, model).equivalent]
    worse = [model for model in rest if model not in alike]
    named = [take, *alike]
    apart = f"by less than {margin_of(evidence)} with 95 % certainty, which does not matter."
    if all(comparison_of(evidence, *pair).equivalent for pair in combinations(named, 2)):
        same = f"{names_of(named)} differ {apart}"
    else:
        same = f"{names_of(alike)} each differ from {name_of(take)} {apart}"
    return (
        same,
        _compared(evidence, *named[:2]),
        *(costs.price(take, rest) if fastest([take, *rest]) is take else []),
        *costs.slower(evidence, take, rest),
        *(_lead(evidence, take, model) for model in worse[:1]),
        *(_lead(evidence, standing.leader, model) for model in standing.behind[:1]),
    )


def no_better_than_chance(evidence: Evidence, take: ModelSummary) -> Figures:
    """Taking the best of the models might be no better than chance."""
    assert evidence.metric is not None  # noqa: S101 - for mypy.
    interval = ends(evidence, take.owner[evidence.metric])
    return (
        _compared(evidence, take),
        f"{name_of(take)} may be no better than chance: its 95 % interval is {interval}.",
    )


def undecided(evidence: Evidence, standing: Standing, more: int) -> Figures:
    """None of several models is known to be better; estimate how many photos would tell."""
    leader, nearest, group = standing.leader, standing.open[0], standing.group
    clear = bool(standing.behind) and all(
        is_better(evidence, ahead, behind) for ahead in group for behind in standing.behind
    )
    worse = f", and each is better than {names_of(standing.behind)}" if clear else ""
    until = [] if evidence.random_weights else costs.until_then(standing)
    return (
        f"{names_of(group)} may each be the best{worse}.",
        _compared(evidence, leader, nearest),
        _lead(evidence, leader, nearest),
        f"About {more} more photos would tell.",
        *until,
    )


def not_judged(evidence: Evidence) -> Figures:
    """Only agreement and speed are known."""
    quickest = fastest(evidence.models)
    time = (
        []
        if isinf(answer_s(quickest))
        else [f"{name_of(quickest)} is the fastest, {seconds(answer_s(quickest))} per photo."]
    )
    return (
        *_lacks(evidence),
        *time,
        f"The models' orders of the photos agree by {_agreement(evidence)} ({RATING_SCALE}).",
    )


def only_one(evidence: Evidence) -> Figures:
    """Only one model can be judged."""
    (model,) = evidence.models
    time_s = answer_s(model)
    time = [] if isinf(time_s) else [f"It takes {seconds(time_s)} per photo."]
    if evidence.metric is None:
        return *_lacks(evidence), *time
    interval = ends(evidence, model.owner[evidence.metric])
    return _compared(evidence, model), f"The 95 % interval is {interval}.", *time


def none_answered(evidence: Evidence) -> Figures:
    """No model answered half of its questions."""
    asked = sum(model.asked for model in evidence.asked)
    failures: Counter[str] = Counter()
    for model in evidence.asked:
        failures.update(model.failures)
    often = "".join(
        f", most often with {name} ({times})" for name, times in failures.most_common(1)
    )
    return (f"Of {count(asked, 'question')} {failures.total()} failed{often}.",)


def of_random_weights(headline: str) -> str:
    """Say what the figures of random weights are worth."""
    return (
        "The numbers show what a report looks like and say nothing about any model. With real "
        f"weights it would say “{headline}”."
    )


def of_loading(loading: Loading, models: Sequence[ModelSummary]) -> str:
    """Say which share of the time went into loading models."""
    warm = [model for model in models if model.id in loading.loaded_already]
    if len(warm) == sum(model.asked > 0 for model in models):
        return (
            "How much of the time goes into loading is not known: each model was loaded already."
        )
    within = "the window" if loading.in_window else "asking"
    share = round(100 * loading.loading_s / loading.asking_s)
    without = f", without {names_of(warm)}, loaded already" if warm else ""
    unit_s, unit = (60, "min") if loading.asking_s >= 120 else (1, "s")
    times = (loading.loading_s / unit_s, loading.asking_s / unit_s)
    part, whole = (f"{time:.{1 if time < 10 else 0}f}" for time in times)
    return f"Loading models took {part} of {whole} {unit} of {within}, {share} %{without}."


def _compared(evidence: Evidence, first: ModelSummary, *others: ModelSummary) -> str:
    """Say how well models agree with the owner, beside chance."""
    if evidence.metric == "auc":
        further = "".join(f", {name_of(model)} in {value_of(evidence, model)}" for model in others)
        return (
            f"{name_of(first)} ranks your favourite above another photo in "
            f"{value_of(evidence, first)} of 100 pairs{further}, chance in 50."
        )
    further = "".join(f", {name_of(model)} by {value_of(evidence, model)}" for model in others)
    return (
        f"{name_of(first)} agrees with your ratings by {value_of(evidence, first)}{further} "
        f"({RATING_SCALE})."
    )


def _lead(evidence: Evidence, first: ModelSummary, second: ModelSummary) -> str:
    """Say by how much one model leads another, and whether that may be chance."""
    gap = comparison_of(evidence, first, second)
    pairs = " pairs" if evidence.metric == "auc" else ""
    interval = f"{ends(evidence, gap.difference)}{pairs}"
    if abs(gap.difference.value) < _EQUAL:
        both = f"{name_of(first)} and {name_of(second)}"
        return f"{both} are equal; the 95 % interval of their difference is {interval}."
    doubt = ""
    if not gap.decided and not gap.equivalent:
        doubt = ", which can be chance"
        if gap.difference.low > 0:
            doubt += f" among {len(evidence.differences)} comparisons"
    elif gap.difference.low < evidence.margin:
        doubt = f"; less than {margin_of(evidence)} would not matter"
    return f"{name_of(first)} leads {name_of(second)} by {interval} (95 % interval){doubt}."


def _lacks(evidence: Evidence) -> Figures:
    return (
        f"Quality is not known: of {count(evidence.photos, 'photo')} that every model answered, "
        f"{evidence.judged}.",
        f"Needed are {MIN_PHOTOS} judged photos of different moments: {MIN_OF_A_KIND} favourites "
        f"and {MIN_OF_A_KIND} others, or different ratings.",
    )


def _agreement(evidence: Evidence) -> str:
    matrix = evidence.agreement.spearman
    values = [matrix[row][column] for row in range(len(matrix)) for column in range(row)]
    if len(values) == 1:
        return number(values[0])
    return f"{number(min(values))} to {number(max(values))}"
