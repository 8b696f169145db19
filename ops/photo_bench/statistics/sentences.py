"""The verdict in words: numbers with their intervals, and no term of statistics but 95 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isinf

from ops.photo_bench.statistics.comparison import MIN_OF_A_KIND, MIN_PHOTOS, MIN_RATED
from ops.photo_bench.statistics.standing import Evidence, Standing, between, fastest, seconds
from ops.photo_bench.summary import Difference, Interval, ModelSummary

_SAME_S = 0.005
_RATING_SCALE = "1 is the same order, 0 is chance"


def decided(evidence: Evidence, standing: Standing) -> str:
    """One model is better than each other one."""
    leader = standing.leader
    others = _and([_by(evidence, each) for each in standing.behind])
    gaps = [between(evidence, leader, each) for each in standing.behind]
    return (
        f"Take {_name(leader)}: {_does(evidence, leader)}, {others}{_scale(evidence)}; "
        f"{_gaps(evidence, gaps)}{_price(leader, standing.behind)}."
    )


def equivalent(evidence: Evidence, standing: Standing, take: ModelSummary) -> str:
    """Several models are as good as each other, and one of them is the fastest."""
    group = standing.group
    rest = [each for each in group if each is not take]
    behind = f"; {_behind(evidence, standing)}" if standing.behind else ""
    return (
        f"Take {_name(take)}{_quicker(take, rest)}: no difference that matters between "
        f"{_names(group)}; {_all(evidence, group)}, with 95 % certainty less than "
        f"{_margin(evidence)} apart{behind}."
    )


def undecided(evidence: Evidence, standing: Standing, more: int) -> str:
    """Of several models none is known to be better; about so many more photos would tell."""
    group = standing.group
    clear = bool(standing.behind) and all(
        between(evidence, ahead, behind).decided for ahead in group for behind in standing.behind
    )
    gaps = [between(evidence, standing.leader, each) for each in standing.open]
    lead = f"{_name(standing.leader)} leads {_by_models(evidence, standing, standing.open)}"
    if clear:
        head = (
            f"{_names(group)} are better than {_names(standing.behind)}, but which of them is "
            f"the best is not decided: {_all(evidence, (*group, *standing.behind))}"
        )
    else:
        head = f"Not decided between {_names(group)}: {_all(evidence, group)}"
        if standing.behind:
            head += f"; {_behind(evidence, standing)}"
    chance = ""
    if any(each.difference.low > 0 for each in gaps):
        chance = f", which can still be chance among {len(evidence.differences)} comparisons"
    return f"{head}; {lead}{chance}, and about {more} more photos would tell."


def no_judgement(evidence: Evidence) -> str:
    """Only agreement and speed are known."""
    quickest = fastest(evidence.models)
    speed = ""
    if not isinf(seconds(quickest)):
        speed = f"; {_name(quickest)} is the fastest with {_s(seconds(quickest))} per photo"
    return (
        f"Which model picks your photos best is not known, for {_why_not(evidence)}"
        f"{speed}, and the models' orders of the photos agree by {_agreement(evidence)} "
        f"({_RATING_SCALE})."
    )


def too_few(evidence: Evidence) -> str:
    """There is a judgement, but hardly any photos."""
    kinds = ""
    needed = f"at least {MIN_PHOTOS}"
    if evidence.metric == "auc":
        kinds = f", {_count(evidence.favourites, 'favourite')} among them"
        needed += f" with {MIN_OF_A_KIND} favourites and {MIN_OF_A_KIND} others"
    return (
        "Too few photos to tell the models apart: all of them answered "
        f"{_count(evidence.photos, 'photo')}{kinds}; {needed} of different moments are needed "
        "to say anything, and about 100 to see a large difference."
    )


def only_one(evidence: Evidence) -> str:
    """There is nothing to choose between."""
    (model,) = evidence.models
    head = (
        f"Only {_name(model)} was asked, so there is nothing to choose between"
        if len(evidence.asked) < 2
        else f"Only {_name(model)} answered, so there is nothing to compare it with"
    )
    time = "" if isinf(seconds(model)) else f"; it takes {_s(seconds(model))} per photo"
    if evidence.metric is None:
        return f"{head}, and how good it is is not known, for {_why_not(evidence)}{time}."
    interval = model.owner[evidence.metric]
    if not evidence.sufficient:
        return f"{head}, and {_count(evidence.photos, 'photo')} say little of it{time}."
    return (
        f"{head}: {_does(evidence, model)} (95 % interval {_ends(evidence, interval)}; "
        f"{'50 is chance' if evidence.metric == 'auc' else _RATING_SCALE}){time}."
    )


def none_answered(evidence: Evidence) -> str:
    """No model answered half of its questions, or none was asked."""
    if not evidence.asked:
        return "No model was asked yet."
    asked = sum(each.asked for each in evidence.asked)
    failures: Counter[str] = Counter()
    for each in evidence.asked:
        failures.update(each.failures)
    (name, count), *_ = failures.most_common() or [("no answer", 0)]
    return (
        f"No model can be taken: of {_count(asked, 'question')} {failures.total()} failed, "
        f"most often with {name} ({count})."
    )


def of_random_weights(sentence: str) -> str:
    """Keep a sentence from being taken for a result."""
    return (
        "These weights are random: the numbers show what a report looks like and say nothing "
        f"about any model. With real weights it would read: “{sentence}”"
    )


def until_then(standing: Standing) -> list[str]:
    """Say which of the undecided ones costs the least."""
    quick, *_ = by_time = sorted(standing.group, key=seconds)
    if isinf(seconds(by_time[-1])) or seconds(by_time[-1]) - seconds(quick) < _SAME_S:
        return []
    others = " and ".join(f"{_s(seconds(each))} of {_name(each)}" for each in by_time[1:])
    return [
        f"Until that is decided {_name(quick)} costs the least: {_s(seconds(quick))} per photo "
        f"against {others}."
    ]


def _why_not(evidence: Evidence) -> str:
    """Say why no metric decides."""
    if evidence.favourites and not evidence.others:
        return "every photo that they answered is a favourite: others are needed to compare with"
    if evidence.rated >= MIN_RATED:
        return "all photos have the same rating"
    rated = f"only {evidence.rated} of {MIN_RATED} ratings are there" if evidence.rated else ""
    marked = "no photo that they answered is marked as a favourite"
    return f"{marked} and {rated}" if rated else f"{marked} or rated"


def _does(evidence: Evidence, model: ModelSummary) -> str:
    if evidence.metric == "auc":
        return (
            f"it puts a favourite before another photo in {_value(evidence, model)} of 100 pairs"
        )
    return f"its order of the photos agrees with your ratings by {_value(evidence, model)}"


def _by(evidence: Evidence, model: ModelSummary) -> str:
    if evidence.metric == "auc":
        return f"{_name(model)} in {_value(evidence, model)}"
    return f"that of {_name(model)} by {_value(evidence, model)}"


def _all(evidence: Evidence, models: Sequence[ModelSummary]) -> str:
    values = _and([_value(evidence, each) for each in models])
    if evidence.metric == "auc":
        return f"they put a favourite before another photo in {values} of 100 pairs"
    return f"their orders of the photos agree with your ratings by {values} ({_RATING_SCALE})"


def _scale(evidence: Evidence) -> str:
    return "" if evidence.metric == "auc" else f" ({_RATING_SCALE})"


def _gaps(evidence: Evidence, gaps: Sequence[Difference]) -> str:
    each = _and([_gap(evidence, gap) for gap in gaps])
    return f"the difference is {each}" if len(gaps) == 1 else f"the differences are {each}"


def _gap(evidence: Evidence, gap: Difference) -> str:
    value = _number(evidence, gap.difference.value)
    return f"{value} (95 % interval {_ends(evidence, gap.difference)})"


def _by_models(evidence: Evidence, standing: Standing, models: Sequence[ModelSummary]) -> str:
    return _and(
        [
            f"{_name(each)} by {_gap(evidence, between(evidence, standing.leader, each))}"
            for each in models
        ]
    )


def _behind(evidence: Evidence, standing: Standing) -> str:
    return f"{_name(standing.leader)} beats {_by_models(evidence, standing, standing.behind)}"


def _price(model: ModelSummary, others: Sequence[ModelSummary]) -> str:
    """Compare the time of a better model with that of the fastest other one."""
    other = fastest(others)
    more_s = seconds(model) - seconds(other)
    if isinf(seconds(model)) or isinf(seconds(other)):
        return ""
    if abs(more_s) < _SAME_S:
        return ", and it is as fast"
    if more_s > 0:
        return f", at {_s(more_s)} more per photo than {_name(other)}"
    return f", and it is faster than {_name(other)} by {_s(-more_s)} per photo"


def _quicker(model: ModelSummary, others: Sequence[ModelSummary]) -> str:
    """Compare the time of the fastest of several with that of the next."""
    other = fastest(others)
    less_s = seconds(other) - seconds(model)
    if isinf(seconds(model)) or isinf(seconds(other)) or less_s < _SAME_S:
        return ""
    return f", faster than {_name(other)} by {_s(less_s)} per photo"


def _agreement(evidence: Evidence) -> str:
    matrix = evidence.agreement.spearman
    values = [matrix[row][column] for row in range(len(matrix)) for column in range(row)]
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{min(values):.2f} to {max(values):.2f}"


def _value(evidence: Evidence, model: ModelSummary) -> str:
    assert evidence.metric is not None  # noqa: S101 - for mypy.
    value = model.owner[evidence.metric].value
    return f"{100 * value:.0f}" if evidence.metric == "auc" else f"{value:.2f}"


def _margin(evidence: Evidence) -> str:
    shown = 100 * evidence.margin if evidence.metric == "auc" else evidence.margin
    return f"{shown:g}"


def _ends(evidence: Evidence, interval: Interval) -> str:
    return f"{_number(evidence, interval.low)} to {_number(evidence, interval.high)}"


def _number(evidence: Evidence, value: float) -> str:
    """Write a difference or an end of an interval, so that its sign is seen."""
    digits, shown = (1, 100 * value) if evidence.metric == "auc" else (2, value)
    while shown and digits < 5 and float(f"{shown:.{digits}f}") == 0:
        digits += 1
    return f"{shown:.{digits}f}"


def _name(model: ModelSummary) -> str:
    return model.name or model.id


def _names(models: Sequence[ModelSummary]) -> str:
    return _and([_name(each) for each in models])


def _and(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _s(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
