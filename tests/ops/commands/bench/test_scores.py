"""Scores and times from answers: pairs, anchors, retries, and a model's speed."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from ops.commands.bench.results import Answer, Run
from ops.commands.bench.statistics.bradley_terry import strengths, without_position_bias
from ops.commands.bench.statistics.scores import scores_of
from ops.commands.bench.statistics.speed import speed_of
from tests.ops.commands.bench.planted_scores import answer_of, planted_run


def test_a_planted_position_bias_is_removed_exactly() -> None:
    truth = np.array([1.5, 0.5, 0.0, -0.7, -1.3])
    bias = 0.9
    unbiased = without_position_bias(
        {(i, j): truth[i] - truth[j] + bias for i, j in permutations(range(5), 2)}
    )
    assert unbiased.bias == pytest.approx(bias)
    assert unbiased.logit == pytest.approx(truth[unbiased.first] - truth[unbiased.second])
    assert strengths(unbiased, 5, prior=0.0) == pytest.approx(truth, abs=1e-8)
    assert np.argsort(-strengths(unbiased, 5)).tolist() == [0, 1, 2, 3, 4]


def test_a_bias_that_depends_on_the_pair_is_removed_too() -> None:
    truth = np.array([1.0, 0.0, -1.0])
    logits = {}
    for pair in ((0, 1), (0, 2), (1, 2)):
        bias = 0.3 * sum(pair)
        logits[pair] = truth[pair[0]] - truth[pair[1]] + bias
        logits[pair[::-1]] = truth[pair[1]] - truth[pair[0]] + bias
    assert strengths(without_position_bias(logits), 3, prior=0.0) == pytest.approx(truth)


def test_a_pair_with_one_failed_order_is_corrected_by_the_mean_bias() -> None:
    truth = np.array([1.0, 0.2, -1.2])
    logits = {(i, j): truth[i] - truth[j] - 0.5 for i, j in permutations(range(3), 2)}
    del logits[2, 0]
    assert strengths(without_position_bias(logits), 3, prior=0.0) == pytest.approx(truth)


def test_a_photo_that_always_wins_has_a_finite_strength_and_one_without_pairs_has_none() -> None:
    strength = strengths(without_position_bias({(0, 1): 40.0, (1, 0): -40.0}), 3)
    assert strength[0] == pytest.approx(-strength[1])
    assert 1 < strength[0] < 20
    assert np.isnan(strength[2])
    assert np.isnan(strengths(without_position_bias({}), 2)).all()


def _run_of(answers: list[Answer], photos: int = 4) -> Run:
    return replace(planted_run({"a": [1.0] * photos}), answers=tuple(answers))


def test_pairs_become_one_score_per_photo_in_either_order() -> None:
    truth = np.array([0.8, 0.1, -0.2, -0.7])
    answers = []
    for i, j in permutations(range(4), 2):
        logit = truth[i] - truth[j] + 0.4
        image, order = f"{i:064x}", f"2:{j:064x}"
        if j == 3:
            image, order = f"{j:064x}", f"1:{i:064x}"
        answers.append(answer_of("a", image, logit, order=order, method="pairwise"))
    (scores,) = scores_of(_run_of(answers)).values
    assert scores == pytest.approx(truth, abs=0.02)


def test_anchored_answers_are_averaged_if_every_anchor_was_answered() -> None:
    answers = [
        answer_of("a", f"{photo:064x}", score, order=f"1:{anchor:064x}", method="anchored")
        for photo, of_photo in enumerate([(1.0, 2.0), (0.0, None), (3.0, 5.0)])
        for anchor, score in enumerate(of_photo, start=8)
    ]
    scores = scores_of(_run_of(answers))
    assert scores.values[0] == pytest.approx([1.5, np.nan, 4.0, np.nan], nan_ok=True)
    assert scores.asked[0].tolist() == [True, True, True, False]


def test_a_retrys_answer_replaces_the_first() -> None:
    answers = [answer_of("a", "0" * 64, None), answer_of("a", "0" * 64, 4.0, attempt=2)]
    scores = scores_of(_run_of(answers))
    assert scores.values[0][0] == 4.0
    assert len(scores.answers[0]) == 1


def test_answers_to_an_earlier_rubric_are_not_used() -> None:
    old = answer_of("a", "0" * 64, 1.0)
    old = replace(old, key=replace(old.key, prompt_sha256="1" * 64))
    assert scores_of(_run_of([old, answer_of("a", "0" * 64, 4.0)])).values[0][0] == 4.0


def test_photos_that_were_never_sent_are_not_counted_as_model_failures() -> None:
    run = planted_run({"a": [1.0, 2.0, 3.0]})
    unreadable = replace(run.photos[1], image_sha256="", failure="image_unreadable")
    run = replace(run, photos=(run.photos[0], unreadable, run.photos[2]))
    scores = scores_of(run)
    assert scores.values.tolist() == [[1.0, 3.0]]
    assert len(scores.answers[0]) == 2


def _timed(seconds: list[float], **rest: float) -> list[Answer]:
    answers = []
    at = 1000.0
    for index, wall_s in enumerate(seconds):
        at += rest.get("gap_s", wall_s)
        answers.append(answer_of("a", f"{index:064x}", 3.0, wall_s=wall_s, at=at))
    return answers


def test_times_are_of_warm_answers_without_the_load() -> None:
    (model,) = planted_run({"a": [1.0]}).models
    answers = _timed([float(second) for second in range(1, 101)])
    answers.append(answer_of("a", "f" * 64, 3.0, wall_s=900.0, at=9000.0, cold=True))
    speed = speed_of(model, answers)
    assert speed.warm_p50_s == pytest.approx(np.percentile(range(1, 101), 50))
    assert speed.warm_p95_s == pytest.approx(np.percentile(range(1, 101), 95))
    assert speed.cold_load_s == 30.0
    assert speed.photos_per_30_min == int((1800 - 30) / 50.5)


def test_a_clock_that_is_set_back_does_not_change_the_times() -> None:
    """The time of day may be set back between two questions."""
    (model,) = planted_run({"a": [1.0]}).models
    speed = speed_of(model, _timed([4.0] * 20, gap_s=2.0))
    assert speed.warm_p50_s == pytest.approx(4.0)
    assert speed.photos_per_30_min == int((1800 - 30) / 4.0)


def test_failures_take_time_but_are_not_answers() -> None:
    (model,) = planted_run({"a": [1.0]}).models
    answers = _timed([2.0] * 10)
    answers += [answer_of("a", f"{index:064x}", None, wall_s=60.0) for index in range(90, 95)]
    speed = speed_of(model, answers)
    assert speed.warm_p95_s == pytest.approx(2.0)
    assert speed.photos_per_30_min == int(1770 / (320 / 15))


def test_three_anchors_per_photo_take_three_times_as_long() -> None:
    (model,) = planted_run({"a": [1.0]}).models
    answers = [
        answer_of("a", f"{photo:064x}", 1.0, order=f"1:{anchor:064x}", wall_s=2.0)
        for photo in range(5)
        for anchor in range(3)
    ]
    assert speed_of(model, answers).photos_per_30_min == 1770 // 6


def test_without_a_warm_answer_there_is_no_time() -> None:
    (model,) = planted_run({"a": [1.0]}).models
    speed = speed_of(model, [answer_of("a", "0" * 64, 3.0, wall_s=40.0, cold=True)])
    assert (speed.warm_p50_s, speed.warm_p95_s, speed.photos_per_30_min) == (None, None, None)
