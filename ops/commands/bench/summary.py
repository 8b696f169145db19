"""The result of a run in numbers: computed by the statistics, shown by report, JSON and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ops.commands.bench.results import Loading

OwnerMetric = Literal["auc", "average_precision", "precision_at_k", "ndcg_at_k", "spearman", "tau"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its 95 % interval over photos."""

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
    """Class of failure -> count."""
    failure_rate: Interval
    """Wilson's interval."""
    low_mass: int
    """Answers whose labels together had less than half of the probability."""
    owner: Mapping[OwnerMetric, Interval]
    """Agreement with the owner's judgement; empty if too few photos are judged."""
    worst_case: Mapping[OwnerMetric, float]
    """The same with each failure counted as the lowest score."""
    speed: Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two models compared on the same photos by the main metric."""

    better: str
    worse: str
    """By value; the interval tells whether the difference means anything."""
    difference: Interval
    p: float
    p_holm: float
    """Corrected for the number of compared pairs."""
    decided: bool
    equivalent: bool
    """Whether the 90 % interval is within the margin: the difference does not matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the models agree with each other, on photos that all of them answered."""

    models: tuple[str, ...]
    spearman: tuple[tuple[float, ...], ...]
    """One row per model."""
    tau: tuple[tuple[float, ...], ...]
    top_k: tuple[tuple[float, ...], ...]
    """Share of common photos among the best k of both."""
    icc_consistency: float | None
    """ICC(3,1); None: fewer than two models or photos."""
    icc_agreement: float | None
    """ICC(2,1)."""
    alpha: float | None
    """Krippendorff's alpha on the interval scale; failures are tolerated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the owner can do next."""

    why: str
    """A sentence that ends with a colon."""
    command: str
    """For a shell in the directory where the report was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run tells about its models."""

    headline: str
    """At most six words and a model's name."""
    take: str | None
    """Id of the model to take; None: not decided."""
    metric: OwnerMetric | None
    """The metric that decides; None: too few photos are judged, and quality is not known."""
    more_photos: int | None
    """Estimated number of further photos that would decide; None: none needed, or not known."""
    figures: tuple[str, ...]
    """Short sentences below the headline: its numbers, and what limits them."""
    steps: tuple[Step, ...] = ()
    caveats: tuple[str, ...] = ()
    """Sentences on how sure it is: random answers, failures, swaps by other clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The whole result."""

    verdict: Verdict
    models: tuple[ModelSummary, ...]
    """The one to take first, then by the deciding metric, if there is one."""
    differences: tuple[Difference, ...]
    agreement: Agreement
    loading: Loading | None
    photos: int
    """Number of drawn photos."""
    common: int
    """Number of photos that all models answered: rankings are compared on these."""
    favourites: int | None
    """None: the owner's favourites are unknown."""
    rated: int
    top_k: int
    margin: float
    """Smaller differences of the main metric do not matter."""
    resamples: int
    seed: int
