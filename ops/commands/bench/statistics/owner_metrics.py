"""How well a model's scores agree with the owner's favourites and ratings.

Every metric takes weights, one column per draw: how often each photo counts. Ones give the album's
own value; the bootstrap's counts give a resample's value, as if each photo were repeated so often.
So thousands of resamples take a few passes over one array.

Ties are never broken by the photos' order, which all models share: a metric of the top k is its
mean over all orders of the tied photos (McSherry and Najork, "Computing information retrieval
performance measures efficiently in the presence of tied scores", ECIR 2008). So a model that
gives all photos the same score gets the value of chance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ops.commands.bench.summary import OwnerMetric

Floats = NDArray[np.float64]

FAVOURITE_METRICS: tuple[OwnerMetric, ...] = (
    "auc",
    "average_precision",
    "precision_at_k",
    "ndcg_at_k",
)
RATING_METRICS: tuple[OwnerMetric, ...] = ("spearman", "tau")
CHANCE: Mapping[OwnerMetric, float] = {"auc": 0.5, "spearman": 0.0, "tau": 0.0}
"""Metric -> its value for a model that guesses, if it does not depend on the album."""


def favourite_metrics(
    scores: Floats,
    favourite: NDArray[np.bool_],
    weights: Floats,
    *,
    top_k: int,
    share: float | None = None,
) -> Mapping[OwnerMetric, Floats]:
    """Compare scores with favourites, for each column of weights; NaN: one kind is missing.

    - auc: the share of pairs of a favourite and another photo in which the favourite has the
      higher score, a tie counting half: Mann-Whitney's U over n1 n0 (Hanley and McNeil 1982).
      Chance is 0.5, whatever the share of favourites.
    - average_precision: the mean over favourites of the precision down to each of them, tied
      photos as one step, as scikit-learn does it.
    - precision_at_k: the share of favourites among the best k.
    - ndcg_at_k: the sum of 1/log2(1 + rank) over favourites among the best k, against the best
      possible sum (Järvelin and Kekäläinen 2002).

    Args:
        scores: One per photo, without NaN.
        favourite: One per photo.
        weights: Photos x draws.
        top_k: Number of best photos.
        share: Share of favourites in the album, if photos were drawn by them (default: the
            sample's). Each kind is then weighted to it, draw by draw (post-stratification), and
            the top k are those of an equally large random sample. The AUC does not need it: it
            compares pairs of one photo of each kind.
    """
    order = np.argsort(-scores, kind="stable")
    ends = _group_ends(scores[order])
    ordered = favourite[order, None]
    drawn = weights[order]
    hits = _totals(np.where(ordered, drawn, 0.0), ends)
    passed = _totals(np.where(ordered, 0.0, drawn), ends)
    favourites, others = hits[-1], passed[-1]
    rows = np.unique(np.searchsorted(ends, np.flatnonzero(ordered)))
    with np.errstate(invalid="ignore", divide="ignore"):
        before, after = _around(hits, rows)
        others_before, others_after = _around(passed, rows)
        lost = np.einsum("gr,gr->r", after - before, others_before + others_after) / 2
        metrics: dict[OwnerMetric, Floats] = {"auc": 1 - lost / (favourites * others)}
        if share is not None:
            size = favourites + others
            # The factor of a missing kind is 0 and not infinite, because the depth of the best k
            # is searched over all draws at once.
            hits = hits * _ratio(size * share, favourites)
            passed = passed * _ratio(size * (1 - share), others)
        depth = hits + passed
        before, after = _around(hits, rows)
        precision = _ratio(after, depth[rows])
        metrics["average_precision"] = np.einsum("gr,gr->r", after - before, precision) / hits[-1]
        top = slice(0, int(np.searchsorted(depth.min(axis=1), top_k)) + 1)
        density = _ratio(_steps(hits[top]), _steps(depth[top]))
        discounts: dict[OwnerMetric, Floats] = {
            "precision_at_k": np.ones(top_k),
            "ndcg_at_k": 1 / np.log2(np.arange(top_k) + 2),
        }
        for metric, discount in discounts.items():
            gain = np.einsum("gr,gr->r", density, _steps(_sum_to(depth[top], discount)))
            best = depth[-1] if metric == "precision_at_k" else hits[-1]
            metrics[metric] = gain / _sum_to(best, discount)
    undefined = (favourites == 0) | (others == 0)
    return {name: np.where(undefined, np.nan, value) for name, value in metrics.items()}


def rating_metrics(
    scores: Floats, ratings: Floats, weights: Floats
) -> Mapping[OwnerMetric, Floats]:
    """Compare scores with ratings, for each column of weights.

    - spearman: Pearson's correlation of mid-ranks.
    - tau: Kendall's tau-b, (concordant - discordant) / sqrt((n0 - n1)(n0 - n2)), with n1 and n2
      the pairs that are tied in one or the other (Kendall 1945).

    Both are 0 if all scores, or all ratings, are equal.

    Args:
        scores: One per photo, without NaN.
        ratings: One per photo, without NaN.
        weights: Photos x draws.
    """
    order = np.argsort(scores, kind="stable")
    ends = _group_ends(scores[order])
    group = np.concatenate([[0], np.cumsum(np.diff(scores[order]) != 0)])
    levels, level = np.unique(ratings[order], return_inverse=True)
    drawn = weights[order]

    totals = _totals(drawn, ends)
    sizes = _steps(totals)
    size = totals[-1]
    ranks = totals - (sizes + size) / 2  # of a tie group, relative to the mean rank
    at_level = np.stack([drawn[level == number].sum(axis=0) for number in range(len(levels))])
    level_ranks = np.cumsum(at_level, axis=0) - (at_level + size) / 2

    together = np.zeros_like(size)
    concordance = np.zeros_like(size)
    lower = np.zeros_like(drawn)  # the photos of lower levels than the current one
    for number, level_rank in enumerate(level_ranks):
        mine = level == number
        counts, rows = drawn[mine], group[mine]
        together += level_rank * np.einsum("pr,pr->r", counts, ranks[rows])
        if number:
            below = _totals(lower, ends)
            before, after = _around(below, rows)
            concordance += np.einsum("pr,pr->r", counts, before + after - below[-1])
        lower[mine] = counts

    spread = np.einsum("gr,gr,gr->r", sizes, ranks, ranks)
    level_spread = np.einsum("gr,gr,gr->r", at_level, level_ranks, level_ranks)
    pairs = size * (size - 1) / 2
    untied = pairs - (sizes * (sizes - 1)).sum(axis=0) / 2
    untied_levels = pairs - (at_level * (at_level - 1)).sum(axis=0) / 2
    return {
        "spearman": _ratio(together, np.sqrt(spread * level_spread)),
        "tau": _ratio(concordance, np.sqrt(untied * untied_levels)),
    }


def _sum_to(depth: Floats, discounts: Floats) -> Floats:
    """Add up the discounts of the first ranks; a fraction of a rank counts in part."""
    places = np.arange(len(discounts) + 1)
    return np.asarray(np.interp(depth, places, [0.0, *np.cumsum(discounts)]))


def _group_ends(ordered: Floats) -> NDArray[np.intp]:
    """Find the last index of each group of equal scores."""
    return np.concatenate([np.flatnonzero(np.diff(ordered)), [len(ordered) - 1]])


def _totals(ordered: Floats, ends: NDArray[np.intp]) -> Floats:
    """Add up from the first index to the end of each tie group."""
    totals = np.cumsum(ordered, axis=0)
    return totals if len(ends) == len(ordered) else totals[ends]


def _around(totals: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return the totals before each of some groups, and including it."""
    before = totals[rows - 1]
    before[rows == 0] = 0.0
    return before, totals[rows]


def _steps(totals: Floats) -> Floats:
    """Undo the summation."""
    steps = totals.copy()
    steps[1:] -= totals[:-1]
    return steps


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 1e-9)
