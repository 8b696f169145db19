"""Agreement with the owner: against scipy and scikit-learn on repeated photos."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sklearn_metrics

from ops.commands.bench.statistics.owner_metrics import favourite_metrics, rating_metrics

Floats = NDArray[np.float64]


@pytest.mark.parametrize("count", [5, 30, 200])
@pytest.mark.parametrize("decimals", [9, 0], ids=["without ties", "with ties"])
def test_weights_count_photos_as_repetitions_do(count: int, decimals: int) -> None:
    random = np.random.default_rng(count)
    scores = np.round(random.standard_normal(count), decimals)
    favourite = random.random(count) < 0.4
    favourite[:2] = True, False
    ratings = random.integers(1, 6, count).astype(float)
    weights = random.integers(0, 3, (count, 4))
    weights[:3] = 1
    top_k = max(1, count // 5)
    of_favourites = favourite_metrics(scores, favourite, weights.astype(float), top_k=top_k)
    of_ratings = rating_metrics(scores, ratings, weights.astype(float))
    for column in range(4):
        written = np.repeat(np.arange(count), weights[:, column])
        score, is_favourite, rating = scores[written], favourite[written], ratings[written]
        expected = {
            "auc": sklearn_metrics.roc_auc_score(is_favourite, score),
            "average_precision": sklearn_metrics.average_precision_score(is_favourite, score),
            "ndcg_at_k": sklearn_metrics.ndcg_score([is_favourite], [score], k=top_k),
            "spearman": stats.spearmanr(score, rating).statistic,
            "tau": stats.kendalltau(score, rating).statistic,
        }
        metrics = {
            name: values[column] for name, values in {**of_favourites, **of_ratings}.items()
        }
        metrics.pop("precision_at_k")
        assert metrics == pytest.approx(expected)


def test_precision_and_gain_at_k_are_means_over_the_orders_of_tied_photos() -> None:
    scores = np.array([3.0, 2.0, 2.0, 2.0, 1.0])
    favourite = np.array([False, True, False, False, True])
    metrics = favourite_metrics(scores, favourite, np.ones((5, 1)), top_k=3)
    orders = [
        list(order)
        for order in permutations(range(5))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    discounts = 1 / np.log2([2, 3, 4])
    precision = np.mean([favourite[order[:3]].mean() for order in orders])
    gain = np.mean([favourite[order[:3]] @ discounts for order in orders])
    assert metrics["precision_at_k"][0] == pytest.approx(precision)
    assert metrics["ndcg_at_k"][0] == pytest.approx(gain / discounts[:2].sum())


def test_constant_scores_have_the_metrics_of_chance() -> None:
    favourite = np.arange(40) < 10
    metrics = favourite_metrics(np.full(40, 3.0), favourite, np.ones((40, 1)), top_k=8)
    assert metrics["auc"][0] == pytest.approx(0.5)
    assert metrics["average_precision"][0] == pytest.approx(0.25)
    assert metrics["precision_at_k"][0] == pytest.approx(0.25)
    ratings = np.tile([1.0, 2.0, 3.0, 4.0], 10)
    assert {
        name: values[0]
        for name, values in rating_metrics(np.full(40, 3.0), ratings, np.ones((40, 1))).items()
    } == {"spearman": 0.0, "tau": 0.0}


def test_all_favourites_first_is_perfect_and_last_is_the_worst() -> None:
    favourite = np.arange(40) < 10
    best = favourite_metrics(-np.arange(40.0), favourite, np.ones((40, 1)), top_k=10)
    assert {name: values[0] for name, values in best.items()} == pytest.approx(
        dict.fromkeys(best, 1)
    )
    worst = favourite_metrics(np.arange(40.0), favourite, np.ones((40, 1)), top_k=10)
    assert (worst["auc"][0], worst["precision_at_k"][0], worst["ndcg_at_k"][0]) == (0, 0, 0)


def test_draws_of_one_kind_are_undefined_without_a_warning() -> None:
    weights = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    metrics = favourite_metrics(
        np.arange(3.0), np.array([True, False, False]), weights, top_k=1, share=0.1
    )
    for values in metrics.values():
        assert np.isnan(values).tolist() == [False, True, True]


@pytest.mark.parametrize("share", [None, 0.02, 0.3, 0.9])
@pytest.mark.parametrize("decimals", [9, 0], ids=["without ties", "with ties"])
def test_a_draws_metric_does_not_depend_on_other_draws(share: float | None, decimals: int) -> None:
    random = np.random.default_rng(6)
    scores = np.round(random.standard_normal(40), decimals)
    favourite = np.arange(40) < 8
    weights = random.integers(0, 3, (40, 12)).astype(float)
    weights[:8, 4] = 0
    weights[8:, 7] = 0
    weights[:, 9] = 0
    together = favourite_metrics(scores, favourite, weights, top_k=6, share=share)
    for column in range(12):
        alone = favourite_metrics(scores, favourite, weights[:, [column]], top_k=6, share=share)
        for name, value in alone.items():
            assert together[name][column] == pytest.approx(value[0], rel=1e-12, nan_ok=True)
            assert np.isnan(value[0]) == (column in (4, 7, 9))
    ratings = random.integers(1, 6, 40).astype(float)
    by_ratings = rating_metrics(scores, ratings, weights)
    for column in range(12):
        for name, value in rating_metrics(scores, ratings, weights[:, [column]]).items():
            assert by_ratings[name][column] == pytest.approx(value[0], rel=1e-12)


def test_weights_restore_the_albums_share_of_favourites() -> None:
    """Each other photo counts as four: the album has four of the same score."""
    random = np.random.default_rng(4)
    favourite = np.arange(60) < 30
    scores = random.standard_normal(60) + favourite
    metrics = favourite_metrics(
        scores, favourite, np.ones((60, 1)), top_k=12, share=30 / (30 + 4 * 30)
    )
    written = np.where(favourite, 1.0, 4.0)[:, None]
    album = favourite_metrics(scores, favourite, written, top_k=30)
    for name in ("auc", "average_precision", "precision_at_k"):
        assert metrics[name][0] == pytest.approx(album[name][0])


def test_a_sample_of_half_favourites_estimates_the_albums_metrics() -> None:
    """An album of 4,000 photos with 10 % favourites, of which 100 and 100 are drawn.

    The standard error of the mean of 400 draws is below 0.005. A sample's average precision is a
    little too high however it is drawn, for each favourite counts itself; the tolerance of 0.03
    holds that, and is far below the error of what is not weighted back.
    """
    random = np.random.default_rng(5)
    favourite = np.arange(4000) < 400
    scores = random.standard_normal(4000) + 1.5 * favourite
    album = favourite_metrics(scores, favourite, np.ones((4000, 1)), top_k=400)
    plain, weighted = [], []
    for _ in range(400):
        drawn = np.concatenate(
            [random.choice(400, 100, False), 400 + random.choice(3600, 100, False)]
        )
        ones = np.ones((200, 1))
        of_drawn = scores[drawn], favourite[drawn], ones
        weighted.append(favourite_metrics(*of_drawn, top_k=20, share=0.1))
        plain.append(favourite_metrics(*of_drawn, top_k=20))
    for name in ("precision_at_k", "average_precision"):
        truth = album[name][0]
        assert np.mean([of_model[name] for of_model in weighted]) == pytest.approx(truth, abs=0.03)
        assert np.mean([of_model[name] for of_model in plain]) > truth + 0.2
    at_random = []
    for _ in range(400):
        drawn = random.choice(4000, 200, False)
        of_drawn = scores[drawn], favourite[drawn], np.ones((200, 1))
        at_random.append(favourite_metrics(*of_drawn, top_k=20)["ndcg_at_k"])
    truth = np.mean(at_random)
    assert np.mean([of_model["ndcg_at_k"] for of_model in weighted]) == pytest.approx(
        truth, abs=0.03
    )
    assert np.mean([of_model["ndcg_at_k"] for of_model in plain]) > truth + 0.2
