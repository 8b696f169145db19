"""The models' costs in time, as clauses of the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf

from ops.commands.bench.statistics.standing import (
    Evidence,
    Standing,
    beats_chance,
    fastest,
    seconds,
    undecided_against,
)
from ops.commands.bench.statistics.wording import name_of, names_of, seconds_of
from ops.commands.bench.summary import ModelSummary

_SAME_S = 0.005


def price(model: ModelSummary, others: Sequence[ModelSummary]) -> str:
    """Compare the time of a better model with that of the fastest other one."""
    quickest = fastest(others)
    more_s = seconds(model) - seconds(quickest)
    if isinf(seconds(model)) or isinf(seconds(quickest)):
        return ""
    if abs(more_s) < _SAME_S:
        return ", and it is as fast"
    if more_s > 0:
        return f", at {seconds_of(more_s)} more per photo than {name_of(quickest)}"
    return f", and it is faster than {name_of(quickest)} by {seconds_of(-more_s)} per photo"


def quicker(model: ModelSummary, others: Sequence[ModelSummary]) -> str:
    """Compare the time of the fastest of several models with that of the next."""
    quickest = fastest(others)
    less_s = seconds(quickest) - seconds(model)
    if isinf(seconds(model)) or isinf(seconds(quickest)) or less_s < _SAME_S:
        return ""
    return f", faster than {name_of(quickest)} by {seconds_of(less_s)} per photo"


def slower(evidence: Evidence, model: ModelSummary, others: Sequence[ModelSummary]) -> list[str]:
    """Say why faster models are not taken."""
    clauses = []
    for other in others:
        less_s = seconds(model) - seconds(other)
        if isinf(seconds(model)) or less_s < _SAME_S:
            continue
        better = (
            f"as good as {names_of(undecided_against(evidence, other))}"
            if beats_chance(evidence, other)
            else "better than chance"
        )
        clauses.append(
            f"{name_of(other)} is faster by {seconds_of(less_s)} per photo, but not known to be "
            f"{better}"
        )
    return clauses


def until_then(standing: Standing) -> list[str]:
    """Say which of the undecided models costs the least."""
    quick, *_ = by_time = sorted(standing.group, key=seconds)
    if isinf(seconds(by_time[-1])) or seconds(by_time[-1]) - seconds(quick) < _SAME_S:
        return []
    others = [f"{seconds_of(seconds(model))} of {name_of(model)}" for model in by_time[1:]]
    return [
        f"Until that is decided {name_of(quick)} costs the least: {seconds_of(seconds(quick))} "
        f"per photo against {' and '.join(others)}."
    ]
