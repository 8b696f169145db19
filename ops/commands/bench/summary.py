"""What a run says, in numbers: what the statistics make, and what report, JSON and CSV show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

OwnerMetric = Literal["auc", "average_precision", "precision_at_k", "ndcg_at_k", "spearman", "tau"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its 95 % interval over photos; of too few photos, all that it can be."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long answers take."""

    warm_p50_s: float | None
    """None: no warm answer yet."""
    warm_p95_s: float | None
    cold_load_s: float | None
    photos_per_30_min: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """One model's results."""

    id: str
    name: str
    answered: int
    asked: int
    failures: Mapping[str, int]
    """Class of failure -> how many."""
    failure_rate: Interval
    """Wilson's interval."""
    low_mass: int
    """Answers whose labels had less than half of the probability."""
    owner: Mapping[OwnerMetric, Interval]
    """Agreement with the owner's judgement; empty where the owner gave none."""
    worst_case: Mapping[OwnerMetric, float]
    """The same with each failure as the lowest score."""
    speed: Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two models compared on the same photos, by the run's main metric."""

    better: str
    worse: str
    """By value; the interval says whether that means anything."""
    difference: Interval
    p: float
    p_holm: float
    """Corrected for the number of pairs that are compared."""
    decided: bool
    equivalent: bool
    """Whether the 90 % interval is within the margin: no difference that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the models agree with each other, on photos that all of them answered."""

    models: tuple[str, ...]
    spearman: tuple[tuple[float, ...], ...]
    """One row a model."""
    tau: tuple[tuple[float, ...], ...]
    top_k: tuple[tuple[float, ...], ...]
    """Share of common photos among each one's best k."""
    icc_consistency: float | None
    """ICC(3,1); None: fewer than two models or photos."""
    icc_agreement: float | None
    """ICC(2,1)."""
    alpha: float | None
    """Krippendorff's, interval scale; failures are tolerated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The honest sentence, and what it rests on."""

    sentence: str
    take: str | None
    """The model to take; None: the run does not say."""
    decided: bool
    """Whether it says which model to take."""
    equivalent: bool
    """Whether other models are without a difference that matters to `take`."""
    metric: OwnerMetric | None
    """What decided; None: there is no judgement of the owner's."""
    more_photos: int | None
    """About how many more would decide; None: none needed, or not to be known."""
    caveats: tuple[str, ...]
    """Sentences that belong under it: random weights, low mass, failures, swaps by others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All of it."""

    verdict: Verdict
    models: tuple[ModelSummary, ...]
    differences: tuple[Difference, ...]
    agreement: Agreement
    photos: int
    """How many were drawn."""
    common: int
    """How many all models answered: rankings are compared on these."""
    favourites: int | None
    """None: the owner's favourites are unknown."""
    rated: int
    top_k: int
    margin: float
    """Of the main metric: smaller differences do not matter."""
    resamples: int
    seed: int
