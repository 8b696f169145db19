"""Agreement between models; it needs no judgement of the owner, and implies none.

Scores are models x photos. Only `alpha` takes a NaN, for a model that did not answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ops.commands.bench.summary import Agreement

Floats = NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]


def agreement_of(
    models: Sequence[str], common: Floats, scores: Floats, *, top_k: int
) -> Agreement:
    """Compare each pair of models, and all together.

    Args:
        models: Their ids.
        common: Models x photos that all of them answered.
        scores: Models x all photos; NaN: that model did not answer.
        top_k: Number of best photos.
    """
    consistency, absolute = icc(common)
    return Agreement(
        models=tuple(models),
        spearman=spearman_matrix(common),
        tau=tau_matrix(common),
        top_k=top_k_matrix(common, top_k),
        icc_consistency=consistency,
        icc_agreement=absolute,
        alpha=alpha(scores),
    )


def spearman_matrix(scores: Floats) -> Matrix:
    """Correlate the mid-ranks of each pair of models; 0 for a model with constant scores."""
    ranks = np.array([stats.rankdata(of_model) for of_model in scores]).reshape(scores.shape)
    centred = ranks - ranks.sum(axis=1, keepdims=True) / max(1, scores.shape[1])
    length = np.sqrt((centred**2).sum(axis=1))
    below = np.outer(length, length)
    return _matrix(
        np.divide(centred @ centred.T, below, out=np.zeros_like(below), where=below > 0)
    )


def tau_matrix(scores: Floats) -> Matrix:
    """Return Kendall's tau-b of each pair of models; 0 for a model with constant scores."""
    models, photos = scores.shape
    taus = np.zeros((models, models))
    if photos > 1:
        for row in range(models):
            for column in range(row):
                tau = stats.kendalltau(scores[row], scores[column]).statistic
                taus[row, column] = taus[column, row] = np.nan_to_num(tau)
    return _matrix(taus)


def top_k_matrix(scores: Floats, top_k: int) -> Matrix:
    """Return the share of common photos among the best k of each pair of models; by chance k/n.

    Photos that tie for the last ranks share them: the mean over all orders of tied photos.
    """
    within = np.array([_chance_of_top(of_model, top_k) for of_model in scores]).reshape(
        scores.shape
    )
    return _matrix(within @ within.T / max(1, min(top_k, scores.shape[1])))


def icc(scores: Floats) -> tuple[float | None, float | None]:
    """Return ICC(3,1), same order and steps, and ICC(2,1), same level too.

    Shrout and Fleiss, "Intraclass correlations: uses in assessing rater reliability", 1979: the
    mean squares of a two-way layout without repetition, photos as targets and models as judges.

    Returns:
        None for each that is undefined: fewer than two models or photos, or no variance.
    """
    models, photos = scores.shape
    if models < 2 or photos < 2:
        return None, None
    mean = scores.mean()
    of_photos, of_models = scores.mean(axis=0), scores.mean(axis=1, keepdims=True)
    targets = models * ((of_photos - mean) ** 2).sum() / (photos - 1)
    judges = photos * ((of_models - mean) ** 2).sum() / (models - 1)
    rest = ((scores - of_photos - of_models + mean) ** 2).sum() / ((photos - 1) * (models - 1))
    consistency = targets + (models - 1) * rest
    return (
        _quotient(targets - rest, consistency),
        _quotient(targets - rest, consistency + models * (judges - rest) / photos),
    )


def alpha(scores: Floats) -> float | None:
    """Return Krippendorff's alpha for an interval scale: 1 - observed / expected disagreement.

    Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, with delta^2 = (c - k)^2.
    The sum of squared differences within m values is 2 m SS, SS about their mean, so

        observed = sum over photos of 2 m SS / (m - 1), over n
        expected = 2 n SS of all values / (n (n - 1))

    Photos with fewer than two answers tell nothing, and are skipped.

    Returns:
        None if all values are equal, or no photo has two.
    """
    answers = (~np.isnan(scores)).sum(axis=0)
    scores, answers = scores[:, answers > 1], answers[answers > 1]
    total = int(answers.sum())
    if total == 0:
        return None
    squares = np.nansum((scores - np.nanmean(scores, axis=0)) ** 2, axis=0)
    observed = (2 * answers * squares / (answers - 1)).sum() / total
    expected = 2 * np.nansum((scores - np.nanmean(scores)) ** 2) / (total - 1)
    share = _quotient(observed, expected)
    return None if share is None else 1 - share


def _chance_of_top(scores: Floats, top_k: int) -> Floats:
    """Return each photo's probability to be among the best k, with ties in random order."""
    above = len(scores) - stats.rankdata(scores, method="max")
    tied = stats.rankdata(scores, method="max") - stats.rankdata(scores, method="min") + 1
    return np.asarray(np.clip((top_k - above) / tied, 0.0, 1.0))


def _matrix(values: Floats) -> Matrix:
    np.fill_diagonal(values, 1.0)
    return tuple(tuple(float(value) for value in row) for row in values)


def _quotient(above: float, below: float) -> float | None:
    return float(above / below) if abs(below) > 1e-12 else None
