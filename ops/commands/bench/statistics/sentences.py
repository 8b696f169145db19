"""The verdict in words: numbers with their intervals, and no statistical term but 95 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import isinf

from ops.commands.bench.statistics import costs
from ops.commands.bench.statistics.comparison import MIN_OF_A_KIND, MIN_PHOTOS, MIN_RATED
from ops.commands.bench.statistics.standing import (
    Evidence,
    Standing,
    beats_chance,
    comparison_of,
    fastest,
    is_better,
    seconds,
)
from ops.commands.bench.statistics.wording import (
    RATING_SCALE,
    ends,
    listed,
    margin_of,
    name_of,
    names_of,
    number,
    scale,
    seconds_of,
    value_of,
)
from ops.commands.bench.summary import Difference, ModelSummary
from ops.report.words import count

_EQUAL = 1e-9
"""Smaller differences of the metric are rounding errors."""


def decided(evidence: Evidence, standing: Standing) -> str:
    """One model is better than every other."""
    leader = standing.leader
    others = listed([_by(evidence, model) for model in standing.behind])
    gaps = [comparison_of(evidence, leader, model) for model in standing.behind]
    return (
        f"Take {name_of(leader)}: {_does(evidence, leader)}, {others} ({scale(evidence)}); "
        f"{_gaps(evidence, gaps)}{costs.price(leader, standing.behind)}."
    )


def equivalent(evidence: Evidence, standing: Standing, take: ModelSummary) -> str:
    """Several models are equally good, and one of them is the fastest."""
    group = standing.group
    rest = [model for model in group if model is not take]
    alike = [model for model in rest if comparison_of(evidence, take, model).equivalent]
    named = [model for model in group if model is take or model in alike]
    apart = f"with 95 % certainty less than {margin_of(evidence)}"
    if all(comparison_of(evidence, *pair).equivalent for pair in combinations(named, 2)):
        between_them = f"between {names_of(named)}"
        apart += " apart"
    else:
        between_them = listed([f"between it and {name_of(model)}" for model in alike])
        apart += f" from {name_of(take)}"
    worse = [model for model in rest if model not in alike]
    clauses = [
        f"{_all(evidence, named)}, {apart}",
        *costs.slower(evidence, take, rest),
        *([_beats(evidence, take, worse)] if worse else []),
        *([_beats(evidence, standing.leader, standing.behind)] if standing.behind else []),
    ]
    return (
        f"Take {name_of(take)}{costs.quicker(take, rest)}: no difference that matters "
        f"{between_them}; {'; '.join(clauses)}."
    )


def no_better_than_chance(evidence: Evidence, standing: Standing) -> str:
    """Taking one of the models might be no better than chance."""
    assert evidence.metric is not None  # noqa: S101 - for mypy.
    every = (*standing.group, *standing.behind)
    models = [model for model in every if not beats_chance(evidence, model)]
    intervals = [ends(evidence, model.owner[evidence.metric]) for model in models]
    if len(models) < len(every):
        head = f"Not decided: {names_of(models)} may pick no better"
    elif len(models) == 2:
        head = f"Neither {names_of(models, 'nor')} is known to pick better"
    else:
        head = f"None of {names_of(models)} is known to pick better"
    says = f"{_all(evidence, models)}, with 95 % intervals of {listed(intervals)}"
    return f"{head} than chance: {says}."


def undecided(evidence: Evidence, standing: Standing, more: int) -> str:
    """None of several models is known to be better; estimate how many photos would tell."""
    group = standing.group
    clear = bool(standing.behind) and all(
        is_better(evidence, ahead, behind) for ahead in group for behind in standing.behind
    )
    gaps = [comparison_of(evidence, standing.leader, model) for model in standing.open]
    if clear:
        head = (
            f"{names_of(group)} are better than {names_of(standing.behind)}, but which of them is "
            f"the best is not decided: {_all(evidence, (*group, *standing.behind))}"
        )
    else:
        head = f"Not decided between {names_of(group)}: {_all(evidence, group)}"
        if standing.behind:
            head += f"; {_beats(evidence, standing.leader, standing.behind)}"
    chance = ""
    if any(gap.difference.low > 0 for gap in gaps):
        chance = f", which can still be chance among {len(evidence.differences)} comparisons"
    lead = f"{name_of(standing.leader)} {_leads(evidence, standing)}"
    return f"{head}; {lead}{chance}, and about {more} more photos would tell."


def no_judgement(evidence: Evidence) -> str:
    """Only agreement and speed are known."""
    quickest = fastest(evidence.models)
    speed = ""
    if not isinf(seconds(quickest)):
        speed = (
            f"; {name_of(quickest)} is the fastest with {seconds_of(seconds(quickest))} per photo"
        )
    return (
        f"Which model picks your photos best is not known, because {_why_not(evidence)}"
        f"{speed}, and the models' orders of the photos agree by {_agreement(evidence)} "
        f"({RATING_SCALE})."
    )


def too_few(evidence: Evidence) -> str:
    """There is a judgement, but of too few photos."""
    kinds = ""
    needed = f"at least {MIN_PHOTOS}"
    if evidence.metric == "auc":
        kinds = f", {count(evidence.favourites, 'favourite')} among them"
        needed += f" with {MIN_OF_A_KIND} favourites and {MIN_OF_A_KIND} others"
    return (
        "Too few photos to tell the models apart: all of them answered "
        f"{count(evidence.photos, 'photo')}{kinds}; {needed} of different moments are needed "
        "to say anything, and about 100 to see a large difference."
    )


def only_one(evidence: Evidence) -> str:
    """Only one model can be judged."""
    (model,) = evidence.models
    head = (
        f"Only {name_of(model)} was asked, so there is nothing to choose between"
        if len(evidence.asked) < 2
        else f"Only {name_of(model)} answered enough, so there is nothing to compare it with"
    )
    time = "" if isinf(seconds(model)) else f"; it takes {seconds_of(seconds(model))} per photo"
    if evidence.metric is None:
        return f"{head}, and its quality is not known, because {_why_not(evidence)}{time}."
    interval = model.owner[evidence.metric]
    if not evidence.sufficient:
        return f"{head}, and {count(evidence.photos, 'photo')} say little of it{time}."
    return (
        f"{head}: {_does(evidence, model)} (95 % interval {ends(evidence, interval)}; "
        f"{scale(evidence)}){time}."
    )


def none_answered(evidence: Evidence) -> str:
    """No model answered half of its questions, or none was asked."""
    if not evidence.asked:
        return "No model was asked yet."
    asked = sum(model.asked for model in evidence.asked)
    failures: Counter[str] = Counter()
    for model in evidence.asked:
        failures.update(model.failures)
    (name, times), *_ = failures.most_common() or [("no answer", 0)]
    return (
        f"No model can be taken: of {count(asked, 'question')} {failures.total()} failed, "
        f"most often with {name} ({times})."
    )


def of_random_weights(sentence: str) -> str:
    """Mark the verdict of random weights."""
    return (
        "These weights are random: the numbers show what a report looks like and say nothing "
        f"about any model. With real weights it would read: “{sentence}”"
    )


def _why_not(evidence: Evidence) -> str:
    """Say why no metric decides."""
    if evidence.favourites and not evidence.others:
        return "every photo that they answered is a favourite, and others are needed to compare"
    if evidence.rated >= MIN_RATED:
        return "all photos have the same rating"
    rated = f"only {evidence.rated} of {MIN_RATED} needed ratings exist" if evidence.rated else ""
    marked = "no photo that they answered is marked as a favourite"
    return f"{marked} and {rated}" if rated else f"{marked} or rated"


def _does(evidence: Evidence, model: ModelSummary) -> str:
    if evidence.metric == "auc":
        return (
            f"it puts a favourite before another photo in {value_of(evidence, model)} of 100 pairs"
        )
    return f"its order of the photos agrees with your ratings by {value_of(evidence, model)}"


def _by(evidence: Evidence, model: ModelSummary) -> str:
    if evidence.metric == "auc":
        return f"{name_of(model)} in {value_of(evidence, model)}"
    return f"that of {name_of(model)} by {value_of(evidence, model)}"


def _all(evidence: Evidence, models: Sequence[ModelSummary]) -> str:
    values = listed([value_of(evidence, model) for model in models])
    if evidence.metric == "auc":
        does = f"they put a favourite before another photo in {values} of 100 pairs"
    else:
        does = f"their orders of the photos agree with your ratings by {values}"
    return f"{does} ({scale(evidence)})"


def _gaps(evidence: Evidence, gaps: Sequence[Difference]) -> str:
    gaps_ = listed([_gap(evidence, gap) for gap in gaps])
    return f"the difference is {gaps_}" if len(gaps) == 1 else f"the differences are {gaps_}"


def _gap(evidence: Evidence, gap: Difference) -> str:
    value = number(evidence, gap.difference.value)
    return f"{value} ({_interval(evidence, gap)})"


def _interval(evidence: Evidence, gap: Difference) -> str:
    small = ""
    if gap.decided and gap.difference.low < evidence.margin:
        small = f": it may be below {margin_of(evidence)}, too small to matter"
    return f"95 % interval {ends(evidence, gap.difference)}{small}"


def _beats(evidence: Evidence, model: ModelSummary, others: Sequence[ModelSummary]) -> str:
    return f"{name_of(model)} beats {_by_models(evidence, model, others)}"


def _leads(evidence: Evidence, standing: Standing) -> str:
    """Say by how much the leader leads the undecided models; some may equal it."""
    leader = standing.leader
    gaps = {model.id: comparison_of(evidence, leader, model) for model in standing.open}
    equal = [model for model in standing.open if abs(gaps[model.id].difference.value) < _EQUAL]
    ahead = [model for model in standing.open if model not in equal]
    clauses = [f"leads {_by_models(evidence, leader, ahead)}"] if ahead else []
    if equal:
        names = [f"{name_of(model)} ({_interval(evidence, gaps[model.id])})" for model in equal]
        clauses.append(f"equals {listed(names)}")
    return " and ".join(clauses)


def _by_models(evidence: Evidence, model: ModelSummary, others: Sequence[ModelSummary]) -> str:
    gaps = [
        f"{name_of(other)} by {_gap(evidence, comparison_of(evidence, model, other))}"
        for other in others
    ]
    return listed(gaps)


def _agreement(evidence: Evidence) -> str:
    matrix = evidence.agreement.spearman
    values = [matrix[row][column] for row in range(len(matrix)) for column in range(row)]
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{min(values):.2f} to {max(values):.2f}"
