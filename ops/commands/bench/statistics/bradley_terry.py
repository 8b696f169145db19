"""Turn comparisons of two photos into one score per photo: Bradley and Terry's model (1952).

P(i before j) = 1 / (1 + exp(-(t_i - t_j))). A model that compares two photos also prefers a
position, so each pair is asked in both orders: d_ij, the logit of the first photo with i first, is
t_i - t_j + b, and d_ji is t_j - t_i + b. Half their difference is the content, half their sum the
position bias b.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """Pairs of photos without position bias."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    logit: Floats
    """Of the first photo over the second."""
    bias: float
    """Mean logit of the first position; 0 if no pair was asked in both orders."""


def without_position_bias(logits: Mapping[tuple[int, int], float]) -> Comparisons:
    """Join both orders of each pair.

    A pair with only one answered order keeps its logit minus the mean bias of the others.

    Args:
        logits: (first photo, second photo) -> logit of the first.
    """
    both = {
        pair: (logit, logits[pair[::-1]])
        for pair, logit in logits.items()
        if pair[0] < pair[1] and pair[::-1] in logits
    }
    bias = (
        float(np.mean([sum(logits_of_pair) / 2 for logits_of_pair in both.values()]))
        if both
        else 0.0
    )
    joined = {pair: (there - back) / 2 for pair, (there, back) in both.items()}
    for pair, logit in logits.items():
        if pair[::-1] not in logits:
            joined[pair] = logit - bias
    return Comparisons(
        first=np.array([first for first, _ in joined], np.intp),
        second=np.array([second for _, second in joined], np.intp),
        logit=np.array(list(joined.values()), np.float64),
        bias=bias,
    )


def strengths(comparisons: Comparisons, photos: int, *, prior: float = 0.01) -> Floats:
    """Fit one strength per photo, centred on the mean; NaN: the photo was in no comparison.

    Each comparison counts as a win of the first with its probability 1/(1 + exp(-logit)) and as a
    loss with the rest. The log-likelihood minus prior/2 times the sum of squared strengths is
    concave; Newton's steps, halved where they overshoot, find its maximum.

    Args:
        comparisons: Pairs of photos.
        photos: Number of photos.
        prior: Keeps the strength of a photo that always wins finite, and joins groups that were
            never compared (default: 0.01; 0 switches it off).
    """
    first, second = comparisons.first, comparisons.second
    won = 1 / (1 + np.exp(-comparisons.logit))
    fitted = np.zeros(photos)
    design = np.zeros((len(won), photos))
    design[np.arange(len(won)), first] = 1
    design[np.arange(len(won)), second] -= 1

    def loss(at: Floats) -> float:
        difference = design @ at
        return float((np.logaddexp(0, difference) - won * difference).sum() + prior / 2 * at @ at)

    for _ in range(100):
        expected = 1 / (1 + np.exp(-(design @ fitted)))
        slope = design.T @ (won - expected) - prior * fitted
        curvature = (design.T * (expected * (1 - expected))) @ design + prior * np.eye(photos)
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        while loss(fitted + step) > loss(fitted) + 1e-12 and np.abs(step).max() > 1e-12:
            step = step / 2
        fitted = fitted + step
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    seen = np.zeros(photos, bool)
    seen[first] = seen[second] = True
    return np.where(seen, fitted - fitted[seen].mean() if seen.any() else fitted, np.nan)
