"""Intervals and comparisons: how often they hold, counted over simulated albums.

An interval that holds with 95 % does so in R albums with a standard deviation of
sqrt(0.95 * 0.05 / R): 0.0069 for R = 1,000. So 95 % +- 2 is about three standard deviations; the
seeds are fixed.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ops.commands.bench.statistics.bootstrap import draws, holm, interval, p_value, wilson, within
from ops.commands.bench.statistics.comparison import (
    Judgement,
    differences,
    estimates,
    judgement_of,
    main_metric,
    worst_case,
)
from ops.commands.bench.statistics.owner_metrics import favourite_metrics, rating_metrics
from ops.commands.bench.summary import OwnerMetric
from tests.ops.commands.bench.planted_scores import planted_run

Floats = NDArray[np.float64]

ALBUMS = 1000
RESAMPLES = 200
LEVELS = np.array([-1.2, -0.4, 0.4, 1.2])
"""Between the owner's five ratings, in standard deviations of how much a photo is liked."""


def _judgement(
    favourite: NDArray[np.bool_], clusters: NDArray[np.intp] | None = None
) -> Judgement:
    return Judgement(
        favourite=favourite.astype(float),
        rating=np.full(len(favourite), np.nan),
        clusters=np.arange(len(favourite)) if clusters is None else clusters,
    )


def _noisy(random: np.random.Generator, shape: tuple[int, ...], shared: float) -> Floats:
    """Draw two models' errors of variance 1 with a common part."""
    common = random.standard_normal(shape)
    own = random.standard_normal((2, *shape))
    return np.asarray(np.sqrt(shared) * common + np.sqrt(1 - shared) * own)


@cache
def _favourites_held(favourites: int, photos: int) -> tuple[float, float, float]:
    """Count how often the intervals of AUC and of its difference hold, and p is below 0.05.

    Scores are normal, a favourite's higher by mu: the AUC is Phi(mu / sqrt(2)).
    """
    random = np.random.default_rng(photos + favourites)
    favourite = np.arange(photos) < favourites
    truth = stats.norm.cdf(1 / np.sqrt(2))
    of_value = of_difference = false = 0
    for seed in range(ALBUMS):
        scores = _noisy(random, (photos,), 0.5) + favourite
        weights = np.concatenate(list(draws(np.arange(photos), RESAMPLES, seed)), axis=1)
        first, second = (
            favourite_metrics(model_scores, favourite, weights, top_k=5)["auc"]
            for model_scores in scores
        )
        low, high = interval(first, favourites)
        of_value += low <= truth <= high
        low, high = interval(first - second, favourites)
        of_difference += low <= 0 <= high
        false += p_value(first - second, favourites) < 0.05
    return of_value / ALBUMS, of_difference / ALBUMS, false / ALBUMS


@pytest.mark.parametrize(("favourites", "photos"), [(15, 100), (50, 100)])
def test_intervals_of_auc_hold_for_95_percent_of_albums(favourites: int, photos: int) -> None:
    of_value, of_difference, _ = _favourites_held(favourites, photos)
    assert of_value == pytest.approx(0.95, abs=0.02)
    assert of_difference == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("favourites", "photos"), [(15, 100), (50, 100)])
def test_two_equal_models_rarely_get_a_decision(favourites: int, photos: int) -> None:
    """At most 5 %, and two standard deviations of 1,000 albums: 0.05 + 2 * 0.0069."""
    assert _favourites_held(favourites, photos)[2] <= 0.05 + 0.014


def test_intervals_of_spearman_with_ratings_hold_for_95_percent_of_albums() -> None:
    def ratings_and_scores(random: np.random.Generator, photos: int) -> tuple[Floats, Floats]:
        liked = random.standard_normal(photos)
        return np.digitize(liked, LEVELS).astype(float), liked + random.standard_normal(photos)

    ratings, scores = ratings_and_scores(np.random.default_rng(6), 400_000)
    truth = stats.spearmanr(ratings, scores).statistic
    random = np.random.default_rng(7)
    held = 0
    for seed in range(ALBUMS):
        ratings, scores = ratings_and_scores(random, 60)
        drawn = [
            rating_metrics(scores, ratings, weights)["spearman"]
            for weights in draws(np.arange(60), RESAMPLES, seed)
        ]
        low, high = interval(np.concatenate(drawn), 60)
        held += low <= truth <= high
    assert held / ALBUMS == pytest.approx(0.95, abs=0.02)


def test_photos_in_bursts_need_the_interval_over_bursts() -> None:
    """80 bursts of 4, half of them favourites; 0.8 of each error's variance is the burst's.

    Of 500 albums the standard deviation is 0.0097: 95 % +- 2.5 is 2.6 of them.
    """
    random = np.random.default_rng(8)
    bursts, of_burst, albums = 80, 4, 500
    clusters = np.repeat(np.arange(bursts), of_burst)
    favourite = clusters < bursts // 2
    truth = stats.norm.cdf(1 / np.sqrt(2))
    held = {"bursts": 0, "photos": 0}
    for seed in range(albums):
        of_bursts = random.standard_normal(bursts)[clusters]
        noise = np.sqrt(0.8) * of_bursts + np.sqrt(0.2) * random.standard_normal(len(clusters))
        for kind, groups in (("bursts", clusters), ("photos", np.arange(len(clusters)))):
            drawn = [
                favourite_metrics(noise + favourite, favourite, weights, top_k=5)["auc"]
                for weights in draws(groups, 150, seed)
            ]
            low, high = interval(np.concatenate(drawn), len(np.unique(groups[favourite])))
            held[kind] += low <= truth <= high
    assert held["bursts"] / albums == pytest.approx(0.95, abs=0.025)
    assert held["photos"] / albums < 0.8


def test_three_equal_models_rarely_get_a_decision_in_any_pair() -> None:
    """Holm over three pairs: at most 5 % of 300 albums, and two standard deviations of 0.0126."""
    random = np.random.default_rng(9)
    favourite = np.arange(60) < 30
    decided = 0
    for seed in range(300):
        scores = random.standard_normal((3, 60)) + favourite
        by_metric = estimates(
            scores, _judgement(favourite), top_k=6, share=None, resamples=RESAMPLES, seed=seed
        )
        compared = differences(by_metric["auc"], "abc", margin=0.05)
        decided += any(difference.decided for difference in compared)
    assert decided / 300 <= 0.05 + 2 * 0.0126


def test_eight_equal_models_rarely_get_a_decision_in_any_of_28_pairs() -> None:
    """With 28 pairs only a p below what resamples can count decides."""
    random = np.random.default_rng(16)
    favourite = np.arange(60) < 24
    decided = 0
    for seed in range(200):
        scores = random.standard_normal((8, 60)) + favourite
        by_metric = estimates(
            scores, _judgement(favourite), top_k=6, share=None, resamples=RESAMPLES, seed=seed
        )
        decided += any(
            difference.decided
            for difference in differences(by_metric["auc"], "abcdefgh", margin=0.05)
        )
    assert decided / 200 <= 0.05


def test_a_perfect_model_is_better_than_seven_that_guess() -> None:
    """24 favourites before all other photos are decided in every pair."""
    random = np.random.default_rng(17)
    favourite = np.arange(60) < 24
    scores = random.standard_normal((8, 60))
    scores[0] += 10 * favourite
    auc = estimates(scores, _judgement(favourite), top_k=6, share=None, resamples=2000, seed=1)[
        "auc"
    ]
    compared = differences(auc, "abcdefgh", margin=0.05)
    assert len(compared) == 28
    assert [difference.decided for difference in compared if difference.better == "a"] == [
        True
    ] * 7


def test_p_of_a_constant_difference_falls_with_the_number_of_photos() -> None:
    same = np.full(2000, 0.5)
    assert p_value(same, 5) > 0.02
    assert p_value(same, 5) > p_value(same, 10) > p_value(same, 24) > 0
    assert p_value(np.full(2000, 0.001), 1000) > 1e-4, "a thousandth is no certainty"


def test_a_difference_of_the_margin_is_rarely_called_equivalent() -> None:
    """5 % of 2,000 estimates, and two standard deviations of 0.0049."""
    random = np.random.default_rng(10)
    error = 0.015
    called = 0
    for _ in range(2000):
        estimate = random.normal(0.05, error)
        called += within(random.normal(estimate, error, 400), 500, 0.05)
    assert 0.03 < called / 2000 <= 0.05 + 2 * 0.0049


def test_a_draw_takes_whole_bursts_and_as_many_as_there_are() -> None:
    clusters = np.array([0, 1, 1, 2, 0, 1])
    weights = np.concatenate(list(draws(clusters, 5000, seed=1)), axis=1)
    assert weights.shape == (6, 5000)
    assert (weights[1] == weights[2]).all()
    assert (weights[0] == weights[4]).all()
    assert (weights[[0, 1, 3]].sum(axis=0) == 3).all()
    assert weights.mean(axis=1) == pytest.approx(np.ones(6), abs=0.05)
    again = np.concatenate(list(draws(clusters, 5000, seed=1)), axis=1)
    assert (weights == again).all()


def test_all_models_are_judged_on_the_same_draw() -> None:
    random = np.random.default_rng(11)
    favourite = np.arange(60) < 30
    score = random.standard_normal(60) + favourite
    by_metric = estimates(
        np.array([score, 2 * score + 1]),
        _judgement(favourite),
        top_k=6,
        share=None,
        resamples=200,
        seed=1,
    )
    (alike,) = differences(by_metric["auc"], "ab", margin=0.05)
    assert (alike.difference.low, alike.difference.high, alike.p) == (0.0, 0.0, 1.0)
    assert alike.equivalent
    assert not alike.decided


def test_the_interval_is_the_expanded_percentile_interval() -> None:
    drawn = np.random.default_rng(12).standard_normal(2000)
    tail = stats.norm.cdf(np.sqrt(20 / 19) * stats.t.ppf(0.025, 19))
    expected = np.percentile(drawn, [100 * tail, 100 * (1 - tail)])
    assert interval(drawn, 20) == pytest.approx(tuple(expected))
    assert interval(np.append(drawn, np.nan), 20) == interval(drawn, 20)
    assert interval(drawn, 10**9) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))


def test_p_is_where_the_interval_ends_at_zero() -> None:
    drawn = np.random.default_rng(13).normal(1.5, 1.0, 20_000)
    p = p_value(drawn, 30)
    low, _ = interval(drawn, 30, confidence=1 - p)
    assert low == pytest.approx(0.0, abs=0.02)
    assert p_value(-drawn, 30) == p
    assert 0 < p_value(np.ones(100), 30) < 0.05
    away = drawn[drawn > 0]
    beyond = stats.t.cdf(-away.mean() / away.std() * np.sqrt(29 / 30), 29)
    counted = stats.t.cdf(stats.norm.ppf(1 / (len(away) + 1)) * np.sqrt(29 / 30), 29)
    assert p_value(away, 30) == pytest.approx(2 * min(beyond, counted))
    assert p_value(away + 9, 30) < 2 * counted / 1000


def test_holm_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.5]) == (1.0, 1.0)
    assert holm([]) == ()


@pytest.mark.parametrize(("count", "of"), [(0, 20), (1, 20), (7, 50), (20, 20)])
def test_wilson_is_that_of_scipy(count: int, of: int) -> None:
    expected = stats.binomtest(count, of).proportion_ci(method="wilson")
    assert wilson(count, of) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_without_a_question_the_failure_rate_is_between_0_and_1() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("favourites", "others", "rated", "expected"),
    [
        (0, 40, 0, None),
        (40, 0, 0, None),
        (4, 36, 0, None),
        (5, 35, 0, "auc"),
        (20, 20, 29, "auc"),
        (20, 20, 30, "spearman"),
        (0, 40, 30, "spearman"),
        (0, 40, 29, "spearman"),
        (4, 36, 10, "spearman"),
        (0, 40, 9, None),
    ],
)
def test_ratings_decide_if_there_are_enough_else_favourites(
    favourites: int, others: int, rated: int, expected: OwnerMetric | None
) -> None:
    count = favourites + others
    run = planted_run(
        {"a": [1.0] * count},
        favourite=[True] * favourites + [False] * others,
        rating=[1 + index % 5 if index < rated else None for index in range(count)],
    )
    assert main_metric(judgement_of(run.photos)) == expected


def test_equal_ratings_decide_nothing() -> None:
    run = planted_run({"a": [1.0] * 40}, rating=[5] * 40)
    assert main_metric(judgement_of(run.photos)) is None


@pytest.mark.parametrize(
    ("favourites", "others", "bursts", "claimed"),
    [
        (5, 5, 10, True),
        (4, 30, 34, False),
        (30, 4, 34, False),
        (4, 5, 9, False),
        (20, 20, 4, False),
    ],
)
def test_few_photos_have_no_metric(
    favourites: int, others: int, bursts: int, claimed: bool
) -> None:
    count = favourites + others
    favourite = np.arange(count) < favourites
    judgement = _judgement(favourite, np.arange(count) % bursts)
    scores = np.random.default_rng(14).standard_normal((2, count))
    estimated = estimates(scores, judgement, top_k=1, share=None, resamples=200, seed=1)
    assert ("auc" in estimated) is claimed


def test_the_worst_case_puts_failures_last() -> None:
    favourite = np.tile([True, True, False, False], 5)
    scores = np.tile([[np.nan, 4.0, 1.0, 2.0], [np.nan] * 4], 5)
    failed, silent = worst_case(scores, _judgement(favourite), top_k=2, share=None)
    assert failed["auc"] == pytest.approx(0.5), "the failed favourites lose all of their pairs"
    assert silent["auc"] == pytest.approx(0.5), "all tied: chance"
