"""The models' costs in time, as sentences of the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf

from ops.commands.bench.statistics.standing import (
    Evidence,
    Standing,
    answer_s,
    beats_chance,
    fastest,
    undecided_against,
)
from ops.commands.bench.statistics.wording import name_of, names_of
from ops.commands.bench.summary import ModelSummary
from ops.commands.bench.words import seconds

_SAME_S = 0.005


def price(model: ModelSummary, others: Sequence[ModelSummary]) -> list[str]:
    """Compare the time of a model with that of the fastest other one."""
    quickest = fastest(others)
    more_s = answer_s(model) - answer_s(quickest)
    if isinf(answer_s(model)) or isinf(answer_s(quickest)):
        return []
    if abs(more_s) < _SAME_S:
        return [f"{name_of(model)} is as fast as {name_of(quickest)}."]
    how = "slower" if more_s > 0 else "faster"
    by = f"{seconds(abs(more_s))} {how} per photo"
    return [f"{name_of(model)} is {by} than {name_of(quickest)}."]


def slower(evidence: Evidence, model: ModelSummary, others: Sequence[ModelSummary]) -> list[str]:
    """Say why faster models are not taken."""
    sentences = []
    for other in others:
        if isinf(answer_s(model)) or answer_s(model) - answer_s(other) < _SAME_S:
            continue
        better = (
            f"as good as {names_of(undecided_against(evidence, other))}"
            if beats_chance(evidence, other)
            else "better than chance"
        )
        sentences.append(f"{name_of(other)} is faster, but not known to be {better}.")
    return sentences


def until_then(standing: Standing) -> list[str]:
    """Say which of the undecided models costs the least."""
    quick, *_, slowest = sorted(standing.group, key=answer_s)
    if isinf(answer_s(slowest)) or answer_s(slowest) - answer_s(quick) < _SAME_S:
        return []
    return [f"Until then {name_of(quick)} costs the least, {seconds(answer_s(quick))} per photo."]
