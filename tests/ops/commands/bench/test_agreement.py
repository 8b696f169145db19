"""How far models agree: against scipy, published examples and definitions written out."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ops.commands.bench.statistics.agreement import (
    agreement_of,
    alpha,
    icc,
    spearman_matrix,
    tau_matrix,
    top_k_matrix,
)

Floats = NDArray[np.float64]

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
).T
"""Table 2 of 1979: four judges, six targets."""
_ = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
)
"""Section C of 2011: four observers, twelve units, some without an answer."""


@pytest.fixture(params=["without ties", "with ties"])
def scores(request: pytest.FixtureRequest) -> Floats:
    drawn = np.random.default_rng(1).standard_normal((3, 80))
    drawn[1:] += drawn[0]
    return np.round(drawn) if request.param == "with ties" else drawn


def test_rank_correlations_are_those_of_scipy(scores: Floats) -> None:
    spearman, tau = spearman_matrix(scores), tau_matrix(scores)
    for first, second in combinations(range(3), 2):
        expected = stats.spearmanr(scores[first], scores[second]).statistic
        assert spearman[first][second] == spearman[second][first] == pytest.approx(expected)
        expected = stats.kendalltau(scores[first], scores[second]).statistic
        assert tau[first][second] == tau[second][first] == pytest.approx(expected)
        assert spearman[first][first] == tau[first][first] == 1.0


def test_top_k_overlap_is_the_share_of_common_best_photos() -> None:
    first = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    second = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    assert top_k_matrix(np.array([first, second]), 2) == ((1.0, 0.5), (0.5, 1.0))
    assert top_k_matrix(np.array([first, second]), 1)[0][1] == 1.0
    assert top_k_matrix(np.array([first, second]), 9)[0][1] == 1.0, "k above n is all photos"


def test_tied_photos_share_the_last_ranks_of_the_top_k() -> None:
    first = np.array([3.0, 2.0, 2.0, 2.0, 1.0])
    second = np.array([1.0, 3.0, 2.0, 2.0, 2.0])

    def orders(scores: Floats) -> list[set[int]]:
        return [
            set(order[:2])
            for order in permutations(range(5))
            if all(scores[a] >= scores[b] for a, b in pairwise(order))
        ]

    shares = [len(a & b) / 2 for a in orders(first) for b in orders(second)]
    assert top_k_matrix(np.array([first, second]), 2)[0][1] == pytest.approx(np.mean(shares))


def test_two_constant_models_have_the_top_k_overlap_of_chance() -> None:
    assert top_k_matrix(np.ones((2, 50)), 5)[0][1] == pytest.approx(0.1)


def test_icc_is_that_of_shrout_and_fleiss() -> None:
    consistency, absolute = icc(SHROUT_FLEISS)
    assert (round(consistency or 0, 2), round(absolute or 0, 2)) == (0.71, 0.29)


def test_a_stricter_model_lowers_icc_agreement_and_not_icc_consistency() -> None:
    scores = np.random.default_rng(2).standard_normal(50)
    consistency, absolute = icc(np.array([scores, scores - 2]))
    assert consistency == pytest.approx(1.0)
    assert absolute is not None
    assert absolute < 0.4


def test_alpha_is_krippendorffs() -> None:
    assert alpha(KRIPPENDORFF) == pytest.approx(0.849, abs=0.0005)


def test_alpha_is_its_definition_over_all_pairs_of_answers() -> None:
    random = np.random.default_rng(3)
    scores = random.normal(3, 1, (4, 40))
    scores[random.random(scores.shape) < 0.3] = np.nan
    units = [unit[~np.isnan(unit)] for unit in scores.T]
    units = [unit for unit in units if len(unit) > 1]
    answers = np.concatenate(units)
    observed = sum(
        sum((a - b) ** 2 for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum((a - b) ** 2 for a, b in permutations(answers, 2)) / (len(answers) - 1)
    assert alpha(scores) == pytest.approx(1 - observed / expected)


def test_constant_scores_have_no_coefficient() -> None:
    same = np.full((2, 30), 3.0)
    assert icc(same) == (None, None)
    assert alpha(same) is None
    assert alpha(np.full((2, 3), np.nan)) is None
    same_and_rising = np.array([same[0], np.arange(30.0)])
    assert (
        spearman_matrix(same_and_rising) == tau_matrix(same_and_rising) == ((1.0, 0.0), (0.0, 1.0))
    )


@pytest.mark.parametrize(("models", "photos"), [(0, 0), (0, 5), (1, 5), (2, 0), (2, 1), (1, 0)])
def test_few_models_or_photos_still_give_a_table(models: int, photos: int) -> None:
    ids = [f"model {number}" for number in range(models)]
    scores = np.ones((models, photos))
    agreement = agreement_of(ids, scores, scores, top_k=1)
    assert len(agreement.spearman) == len(agreement.tau) == len(agreement.top_k) == models
    assert agreement.icc_consistency is None
    assert agreement.icc_agreement is None
    assert agreement.alpha is None
