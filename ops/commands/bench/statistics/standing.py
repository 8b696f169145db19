"""The evidence for a verdict, and each model's standing against the leader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from ops.commands.bench.statistics.owner_metrics import CHANCE
from ops.commands.bench.summary import Agreement, Difference, ModelSummary, OwnerMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence for a verdict."""

    models: tuple[ModelSummary, ...]
    """The compared models."""
    asked: tuple[ModelSummary, ...]
    """The models that were asked at all."""
    metric: OwnerMetric | None
    """The deciding metric; None: too few photos are judged."""
    differences: tuple[Difference, ...]
    agreement: Agreement
    photos: int
    """Photos that all models answered; the next two are about these."""
    favourite_share: float
    judged: str
    """Which of them are judged, in words."""
    margin: float
    random_weights: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The models relative to the leader."""

    leader: ModelSummary
    same: tuple[ModelSummary, ...]
    """Without a difference that matters."""
    open: tuple[ModelSummary, ...]
    behind: tuple[ModelSummary, ...]

    @property
    def group(self) -> tuple[ModelSummary, ...]:
        """All models that may be the best."""
        return self.leader, *self.same, *self.open


def standing_of(evidence: Evidence) -> Standing:
    """Sort the models by what is known about each against the leader."""
    metric = evidence.metric
    assert metric is not None  # noqa: S101 - for mypy; without one nobody leads.
    leader, *rest = sorted(
        evidence.models, key=lambda model: (-model.owner[metric].value, answer_s(model))
    )
    same, still_open, behind = [], [], []
    for model in rest:
        difference = comparison_of(evidence, leader, model)
        if difference.equivalent:
            same.append(model)
        elif difference.decided:
            behind.append(model)
        else:
            still_open.append(model)
    return Standing(leader=leader, same=tuple(same), open=tuple(still_open), behind=tuple(behind))


def comparison_of(evidence: Evidence, first: ModelSummary, second: ModelSummary) -> Difference:
    """Find the comparison of two models."""
    return next(
        difference
        for difference in evidence.differences
        if {difference.better, difference.worse} == {first.id, second.id}
    )


def is_better(evidence: Evidence, model: ModelSummary, rival: ModelSummary) -> bool:
    """Tell whether one model is decidedly better than another."""
    difference = comparison_of(evidence, model, rival)
    return difference.decided and difference.better == model.id


def beats_chance(evidence: Evidence, model: ModelSummary) -> bool:
    """Tell whether a model is better than chance: its interval lies above it."""
    assert evidence.metric is not None  # noqa: S101 - for mypy.
    return model.owner[evidence.metric].low > CHANCE[evidence.metric]


def undecided_against(evidence: Evidence, model: ModelSummary) -> tuple[ModelSummary, ...]:
    """Find the models that a model is neither better than nor as good as."""
    return tuple(
        rival
        for rival in evidence.models
        if rival is not model
        and not comparison_of(evidence, model, rival).equivalent
        and not is_better(evidence, model, rival)
    )


def choose(evidence: Evidence, standing: Standing) -> ModelSummary:
    """Find the fastest model that is better than, or as good as, every other.

    A model that is as good as the leader can still be undecided against a third model, which only
    the leader beats. If that applies to each faster model, the leader remains.
    """
    candidates = [
        model
        for model in (standing.leader, *standing.same)
        if beats_chance(evidence, model) and not undecided_against(evidence, model)
    ]
    return fastest(candidates or [standing.leader])


def fastest(models: Sequence[ModelSummary]) -> ModelSummary:
    """Find the model with the quickest warm answers; the first, if no time is known."""
    return min(models, key=answer_s)


def answer_s(model: ModelSummary) -> float:
    """Return the time of a warm answer; infinite without one."""
    return inf if model.speed.warm_p50_s is None else model.speed.warm_p50_s
