"""The models compared with the owner's judgement, and by it with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ops.commands.bench.results import Photo
from ops.commands.bench.statistics import bootstrap
from ops.commands.bench.statistics.owner_metrics import (
    FAVOURITE_METRICS,
    RATING_METRICS,
    favourite_metrics,
    rating_metrics,
)
from ops.commands.bench.summary import Difference, Interval, OwnerMetric

Floats = NDArray[np.float64]

MIN_PHOTOS = 10
MIN_OF_A_KIND = 5
"""Bursts with favourites, and with others, at least: fewer make resamples uninformative."""
MIN_RATED = 30
"""From here on ratings decide instead of favourites, if there are enough of both: they tell about
twice as much per photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The owner's judgement of some photos."""

    favourite: Floats
    """1, 0, or NaN: unknown."""
    rating: Floats
    """1 to 5, -1, or NaN: unrated."""
    clusters: NDArray[np.intp]
    """Bursts, numbered from 0 without a gap."""

    @property
    def favourites(self) -> int:
        """Number of favourites."""
        return int((self.favourite == 1).sum())

    @property
    def others(self) -> int:
        """Number of photos known not to be favourites."""
        return int((self.favourite == 0).sum())

    @property
    def rated(self) -> int:
        """Number of rated photos."""
        return int((~np.isnan(self.rating)).sum())

    def size(self, metric: OwnerMetric) -> int:
        """Count the bursts on which a metric is based; 0: too few for an interval."""
        if metric in RATING_METRICS:
            rated = ~np.isnan(self.rating)
            size = self._bursts(rated) if len(np.unique(self.rating[rated])) > 1 else 0
            return size if size >= MIN_PHOTOS else 0
        known = self._bursts(~np.isnan(self.favourite))
        size = min(self._bursts(self.favourite == 1), self._bursts(self.favourite == 0))
        return size if known >= MIN_PHOTOS and size >= MIN_OF_A_KIND else 0

    def in_words(self) -> str:
        """Say which of the photos are judged, for a judgement that suffices for no metric."""
        kinds = []
        if self.favourites:
            kinds.append(f"{self.favourites if self.others else 'all'} are favourites")
        if self.rated:
            alike = len(np.unique(self.rating[~np.isnan(self.rating)])) == 1
            kinds.append(f"{self.rated} have {'the same' if alike else 'a'} rating")
        return " and ".join(kinds) or "none is a favourite or has a rating"

    def _bursts(self, mask: NDArray[np.bool_]) -> int:
        return len(np.unique(self.clusters[mask]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One metric of all compared models."""

    values: Floats
    drawn: Floats
    """Models x resamples."""
    size: int
    """Bursts on which it is based."""

    def interval(self, row: int) -> Interval:
        """Return one model's value with its interval."""
        low, high = bootstrap.interval(self.drawn[row], self.size)
        return Interval(value=float(self.values[row]), low=low, high=high)


def judgement_of(photos: Sequence[Photo]) -> Judgement:
    """Read the owner's judgement of photos."""
    _, clusters = np.unique([photo.burst for photo in photos], return_inverse=True)
    return Judgement(
        favourite=np.array(
            [np.nan if photo.favourite is None else photo.favourite for photo in photos],
            np.float64,
        ),
        rating=np.array(
            [np.nan if photo.rating is None else photo.rating for photo in photos], np.float64
        ),
        clusters=clusters.astype(np.intp),
    )


def main_metric(judgement: Judgement) -> OwnerMetric | None:
    """Choose the deciding metric; None: too few photos are judged.

    Ratings order all photos, favourites only separate two kinds, so with equally many photos the
    ratings decide earlier. Among the metrics of favourites the AUC is preferred, because it uses
    all photos and depends neither on k nor on the share of favourites.
    """
    by_ratings = judgement.size("spearman") > 0
    if by_ratings and judgement.rated >= MIN_RATED:
        return "spearman"
    if judgement.size("auc"):
        return "auc"
    return "spearman" if by_ratings else None


def estimates(
    scores: Floats,
    judgement: Judgement,
    *,
    top_k: int,
    share: float | None,
    resamples: int,
    seed: int,
) -> Mapping[OwnerMetric, Estimate]:
    """Compute each metric for which the judgement suffices, for each model, with its resamples.

    Args:
        scores: Models x photos, without NaN.
        judgement: Of the same photos.
        top_k: Number of best photos.
        share: Share of favourites in the album; None: as in these photos.
        resamples: Number of draws.
        seed: Of the draws.
    """
    values = _metrics(scores, judgement, np.ones((scores.shape[1], 1)), top_k, share)
    blocks: dict[OwnerMetric, list[Floats]] = defaultdict(list)
    if values:
        for weights in bootstrap.draws(judgement.clusters, resamples, seed):
            for metric, drawn in _metrics(scores, judgement, weights, top_k, share).items():
                blocks[metric].append(drawn)
    return {
        metric: Estimate(
            values=value[:, 0],
            drawn=np.concatenate(blocks[metric], axis=1),
            size=judgement.size(metric),
        )
        for metric, value in values.items()
    }


def worst_case(
    scores: Floats, judgement: Judgement, *, top_k: int, share: float | None
) -> tuple[Mapping[OwnerMetric, float], ...]:
    """Compute each model's metrics with each failure counted as the lowest score.

    Args:
        scores: Models x photos; NaN: a failure.
        judgement: Of the same photos.
        top_k: Number of best photos.
        share: As for the estimates.
    """
    failed = np.isnan(scores)
    scores = np.where(failed, np.inf, scores)
    lowest = scores.min(axis=1, keepdims=True, initial=1.0) - 1
    values = _metrics(
        np.where(failed, lowest, scores), judgement, np.ones((scores.shape[1], 1)), top_k, share
    )
    return tuple(
        {metric: float(value[row, 0]) for metric, value in values.items()}
        for row in range(len(scores))
    )


def differences(
    estimate: Estimate, ids: Sequence[str], *, margin: float
) -> tuple[Difference, ...]:
    """Compare each pair of models on the same photos, the better one first.

    The correction counts all pairs, not only those with the leader, because these photos also
    decide which model leads.

    Args:
        estimate: Of the deciding metric.
        ids: One per model.
        margin: The largest difference that does not matter.
    """
    order = sorted(range(len(ids)), key=lambda row: -estimate.values[row])
    pairs = list(combinations(order, 2))
    drawn = [estimate.drawn[better] - estimate.drawn[worse] for better, worse in pairs]
    p = [bootstrap.p_value(resampled, estimate.size) for resampled in drawn]
    compared = []
    for (better, worse), resampled, p_value, corrected in zip(
        pairs, drawn, p, bootstrap.holm(p), strict=True
    ):
        low, high = bootstrap.interval(resampled, estimate.size)
        value = float(estimate.values[better] - estimate.values[worse])
        compared.append(
            Difference(
                better=ids[better],
                worse=ids[worse],
                difference=Interval(value=value, low=low, high=high),
                p=p_value,
                p_holm=corrected,
                decided=corrected < 0.05,
                equivalent=bootstrap.within(resampled, estimate.size, margin),
            )
        )
    return tuple(compared)


def _metrics(
    scores: Floats, judgement: Judgement, weights: Floats, top_k: int, share: float | None
) -> Mapping[OwnerMetric, Floats]:
    """Return models x draws for each metric for which the judgement suffices."""
    metrics: dict[OwnerMetric, Floats] = {}
    if judgement.size("auc"):
        known = np.flatnonzero(~np.isnan(judgement.favourite))
        of_known, favourite = weights[known], judgement.favourite[known] == 1
        of_models = [
            favourite_metrics(row[known], favourite, of_known, top_k=top_k, share=share)
            for row in scores
        ]
        metrics |= {
            name: np.stack([of_model[name] for of_model in of_models])
            for name in FAVOURITE_METRICS
        }
    if judgement.size("spearman"):
        known = np.flatnonzero(~np.isnan(judgement.rating))
        of_known, ratings = weights[known], judgement.rating[known]
        of_models = [rating_metrics(row[known], ratings, of_known) for row in scores]
        metrics |= {
            name: np.stack([of_model[name] for of_model in of_models]) for name in RATING_METRICS
        }
    return metrics
