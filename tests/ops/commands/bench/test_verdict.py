"""The verdict of a run, and the numbers behind it."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sklearn_metrics

from ops.commands.bench.results import Run
from ops.commands.bench.statistics.summarise import summarise
from ops.commands.bench.statistics.verdict import more_photos
from ops.commands.bench.summary import Difference, Interval, Summary
from tests.ops.commands.bench.planted_scores import answer_of, planted_run

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Album:
    """Photos of known quality, and models that score them with noise."""

    scores: Mapping[str, Floats]
    favourite: NDArray[np.bool_]
    rating: NDArray[np.int_]


def album(photos: int, noise: Mapping[str, float], *, seed: int = 1) -> Album:
    random = np.random.default_rng(seed)
    liked = random.standard_normal(photos)
    return Album(
        scores={
            model: 3 + liked + error * random.standard_normal(photos)
            for model, error in noise.items()
        },
        favourite=liked > np.quantile(liked, 0.7),
        rating=np.digitize(liked, [-1.2, -0.4, 0.4, 1.2]) + 1,
    )


def summary_for(run: Run, **rest: Any) -> Summary:
    """Summarise a run; the summary has to be valid JSON, without a NaN."""
    summary = summarise(run, **rest)
    json.dumps(dataclasses.asdict(summary), allow_nan=False)
    return summary


def test_a_clearly_better_model_is_taken_although_slower() -> None:
    planted = album(200, {"a": 0.6, "b": 2.0})
    summary = summary_for(
        planted_run(planted.scores, favourite=planted.favourite, seconds={"a": 5.9, "b": 3.5})
    )
    verdict = summary.verdict
    assert (verdict.headline, verdict.take) == ("Take Model A", "a")
    assert (verdict.metric, verdict.more_photos) == ("auc", None)
    a, b = (
        sklearn_metrics.roc_auc_score(planted.favourite, planted.scores[model]) for model in "ab"
    )
    better, lead, price = verdict.figures
    assert better == (
        f"Model A ranks your favourite above another photo in {100 * a:.0f} of 100 pairs, Model B "
        f"in {100 * b:.0f}, chance in 50."
    )
    low, high = re.fullmatch(
        r"Model A leads Model B by (\d+) to (\d+) pairs \(95 % interval\)\.", lead
    ).groups()  # type: ignore[union-attr]
    assert int(low) < 100 * (a - b) < int(high)
    assert price == "Model A is 2.40 s slower per photo than Model B."
    assert summary.models[0].owner["auc"].value == pytest.approx(a)
    assert summary.models[0].owner["auc"].low < a < summary.models[0].owner["auc"].high


def test_with_ratings_the_figures_are_rank_correlations() -> None:
    planted = album(200, {"a": 0.6, "b": 2.0})
    verdict = summary_for(planted_run(planted.scores, rating=planted.rating)).verdict
    assert (verdict.take, verdict.metric) == ("a", "spearman")
    rank = stats.spearmanr(planted.rating, planted.scores["a"]).statistic
    assert verdict.figures[0].startswith(f"Model A agrees with your ratings by {rank:.2f}, Model")
    assert verdict.figures[0].endswith(" (1 is the same order, 0 is chance).")


def test_the_best_of_three_is_compared_with_the_nearest() -> None:
    planted = album(200, {"a": 0.5, "b": 1.5, "c": 4.0})
    verdict = summary_for(planted_run(planted.scores, favourite=planted.favourite)).verdict
    assert verdict.take == "a"
    assert ", Model B in" in verdict.figures[0]
    assert "Model C" not in " ".join(verdict.figures)
    assert verdict.figures[-1] == "Model A is 1.00 s faster per photo than Model B."


def test_an_undecided_verdict_estimates_the_photos_that_are_needed() -> None:
    planted = album(100, {"a": 1.5, "b": 1.7})
    verdict = summary_for(planted_run(planted.scores, favourite=planted.favourite)).verdict
    assert (verdict.headline, verdict.take) == ("Not decided", None)
    assert verdict.figures[0].endswith(" may each be the best.")
    assert verdict.more_photos is not None
    assert verdict.more_photos >= 10
    assert verdict.figures[-2:] == (
        f"About {verdict.more_photos} more photos would tell.",
        "Until then Model A costs the least, 1.00 s per photo.",
    )


def test_the_fastest_of_equivalent_models_is_taken() -> None:
    planted = album(400, {"a": 0.3})
    scores = {"a": planted.scores["a"], "b": planted.scores["a"] + 0.05 * np.sin(np.arange(400))}
    seconds = {"a": 5.9, "b": 3.5}
    verdict = summary_for(
        planted_run(scores, favourite=planted.favourite, seconds=seconds)
    ).verdict
    assert verdict.headline == "Take Model B"
    assert verdict.figures[0] == (
        "Model B and Model A differ by less than 5 pairs with 95 % certainty, which does not "
        "matter."
    )
    assert verdict.figures[-1] == "Model B is 2.40 s faster per photo than Model A."
    strict = summary_for(planted_run(scores, favourite=planted.favourite), margin=0.0001).verdict
    assert strict.headline == "Not decided"


def test_two_equal_leaders_are_better_than_the_third() -> None:
    planted = album(400, {"a": 0.3, "c": 1.5})
    alike = planted.scores["a"] + 0.05 * np.sin(np.arange(400))
    scores = {"a": planted.scores["a"], "b": alike, "c": planted.scores["c"]}
    run = planted_run(scores, favourite=planted.favourite, seconds={"a": 3.0, "b": 2.0, "c": 1.0})
    verdict = summary_for(run).verdict
    assert verdict.take == "b", "the third is faster, and worse"
    assert " leads Model C by" in verdict.figures[-1]


def test_two_clear_leaders_of_three_are_named() -> None:
    planted = album(120, {"a": 1.0, "b": 1.1, "c": 5.0}, seed=3)
    verdict = summary_for(planted_run(planted.scores, favourite=planted.favourite)).verdict
    assert verdict.headline == "Not decided"
    first, rest = verdict.figures[0].split(" may each be the best")
    assert sorted(first.split(" and ")) == ["Model A", "Model B"]
    assert rest == ", and each is better than Model C."


def test_without_the_owners_judgement_quality_is_not_compared() -> None:
    planted = album(80, {"a": 1.0, "b": 1.0, "c": 1.0})
    summary = summary_for(planted_run(planted.scores))
    verdict = summary.verdict
    assert (verdict.take, verdict.metric, verdict.more_photos) == (None, None, None)
    assert summary.models[0].owner == {}
    assert summary.models[0].worst_case == {}
    assert summary.differences == ()
    assert summary.favourites is None
    assert verdict.headline == "Not decided: judge more photos"
    unknown, needed, fastest, agreement = verdict.figures
    assert unknown == (
        "Quality is not known: of 80 photos that every model answered, none is a favourite or has "
        "a rating."
    )
    assert needed.startswith(
        "Needed are 10 judged photos of different moments: 5 favourites and 5 "
    )
    assert fastest == "Model A is the fastest, 1.00 s per photo."
    between = [
        stats.spearmanr(planted.scores[a], planted.scores[b])[0] for a, b in ("ab", "ac", "bc")
    ]
    assert f"agree by {min(between):.2f} to {max(between):.2f} (1 is" in agreement
    (step,) = verdict.steps
    assert step.why.startswith("Mark favourites or give ratings, in Immich or in favourites.csv")
    assert step.command.endswith(" -m ops bench report bench-runs/run --judge-again")


@pytest.mark.parametrize(
    ("judgement", "reason"),
    [
        ({"favourite": [True] * 40}, "all are favourites"),
        ({"rating": [4] * 40}, "40 have the same rating"),
        ({"rating": [3, 4, 5] * 3 + [None] * 31}, "9 have a rating"),
        ({"favourite": [False] * 40}, "none is a favourite or has a rating"),
        (
            {"favourite": [True] * 4 + [False] * 36, "rating": [5] * 2 + [None] * 38},
            "4 are favourites and 2 have the same rating",
        ),
    ],
)
def test_a_judgement_that_does_not_suffice_is_named(
    judgement: Mapping[str, Any], reason: str
) -> None:
    planted = album(40, {"a": 1.0, "b": 1.0})
    summary = summary_for(planted_run(planted.scores, **judgement))
    assert summary.verdict.metric is None
    assert summary.verdict.figures[0].endswith(f" that every model answered, {reason}.")
    assert {model.id: model.owner for model in summary.models} == {"a": {}, "b": {}}


@pytest.mark.parametrize("rated", [10, 20, 29])
def test_few_ratings_decide_if_there_is_no_other_judgement(rated: int) -> None:
    planted = album(30, {"a": 0.1, "b": 6.0})
    rating = [int(value) for value in planted.rating[:rated]] + [None] * (30 - rated)
    summary = summary_for(planted_run(planted.scores, rating=rating))
    assert summary.verdict.metric == "spearman"
    assert summary.verdict.take == (None if rated == 10 else "a")
    favourites = planted_run(planted.scores, rating=rating, favourite=planted.favourite)
    assert summary_for(favourites).verdict.metric == "auc"


def test_few_photos_decide_nothing() -> None:
    planted = album(8, {"a": 0.01, "b": 9.0})
    summary = summary_for(planted_run(planted.scores, favourite=planted.favourite))
    assert summary.verdict.take is None
    assert summary.verdict.headline == "Not decided: judge more photos"
    assert "of 8 photos that every model answered, 3 are favourites" in summary.verdict.figures[0]
    assert summary.models[0].owner == {}


def test_one_model_has_no_comparison() -> None:
    planted = album(80, {"a": 1.0})
    judged = summary_for(planted_run(planted.scores, favourite=planted.favourite)).verdict
    assert judged.take is None
    assert judged.headline == "Only Model A was asked"
    assert "chance in 50" in judged.figures[0]
    unjudged = summary_for(planted_run(planted.scores)).verdict
    assert unjudged.figures[0].startswith("Quality is not known: ")


def test_if_all_failed_the_most_frequent_failure_is_named() -> None:
    summary = summary_for(
        planted_run({"a": [None] * 20, "b": [None] * 20}, favourite=[True, False] * 10)
    )
    assert summary.verdict.headline == "No model answered enough"
    assert summary.verdict.figures == ("Of 40 questions 40 failed, most often with timeout (40).",)
    assert summary.models[0].failure_rate.value == 1.0
    assert summary.models[0].failures == {"timeout": 20}
    assert summary.models[0].speed.warm_p50_s is None
    assert (summary.common, summary.agreement.models) == (0, ())


def test_a_run_without_a_question_has_a_verdict() -> None:
    run = dataclasses.replace(planted_run({"a": [1.0] * 5, "b": [1.0] * 5}), answers=())
    assert summary_for(run).verdict.headline == "No model was asked yet"


@pytest.mark.parametrize("judged", [True, False])
def test_random_weights_never_recommend_a_model(judged: bool) -> None:
    planted = album(200, {"a": 0.6, "b": 2.0})
    favourite = planted.favourite if judged else None
    run = planted_run(planted.scores, favourite=favourite, random_weights=True)
    verdict = summary_for(run).verdict
    assert verdict.headline == "No verdict: the weights are random"
    would = "Take Model A" if judged else "Not decided: judge more photos"
    assert verdict.figures[0].endswith(f"With real weights it would say “{would}”.")
    assert (verdict.take, verdict.more_photos) == (None, None)


def test_a_model_that_mostly_failed_does_not_reduce_the_common_photos() -> None:
    planted = album(100, {"a": 0.5, "b": 2.0, "c": 1.0})
    planted.scores["c"][:60] = np.nan
    summary = summary_for(planted_run(planted.scores, favourite=planted.favourite))
    assert summary.common == 100
    assert summary.agreement.models == ("a", "b")
    assert summary.models[2].owner == {}
    assert (summary.models[2].answered, summary.models[2].asked) == (40, 100)
    assert any(
        "Model C is not compared: it answered 40 of 100" in figure
        for figure in summary.verdict.figures
    )


@pytest.mark.parametrize(("answered", "failed"), [(12, 10), (5, 0), (99, 0)])
def test_a_model_that_was_skipped_early_does_not_reduce_the_common_photos(
    answered: int, failed: int
) -> None:
    """After ten failures in a row, or after the five photos of the forecast."""
    planted = album(200, {"a": 0.5, "b": 2.0, "c": 1.0})
    planted.scores["c"][answered : answered + failed] = np.nan
    run = planted_run(planted.scores, favourite=planted.favourite)
    asked = {photo.image_sha256 for photo in run.photos[: answered + failed]}
    kept = tuple(
        answer for answer in run.answers if answer.model != "c" or answer.key.image_sha256 in asked
    )
    summary = summary_for(dataclasses.replace(run, answers=kept))
    assert (summary.common, summary.agreement.models) == (200, ("a", "b"))
    assert summary.verdict.take == "a"
    (left,) = [figure for figure in summary.verdict.figures if figure.startswith("Model C is not")]
    missing = f"{200 - answered - failed} were not asked"
    reasons = f"{failed} failed, {missing}" if failed else missing
    assert left == (
        f"Model C is not compared: it answered {answered} of 200 questions ({reasons}), and half "
        "of them are needed."
    )


def test_a_model_that_answered_half_is_compared_within_limits() -> None:
    planted = album(200, {"a": 0.5, "b": 2.0})
    run = planted_run(planted.scores, favourite=planted.favourite)
    first = {photo.image_sha256 for photo in run.photos[:100]}
    kept = tuple(
        answer for answer in run.answers if answer.model == "a" or answer.key.image_sha256 in first
    )
    summary = summary_for(dataclasses.replace(run, answers=kept))
    assert (summary.common, summary.agreement.models) == (100, ("a", "b"))
    assert any("Model B was asked 100 of 200" in figure for figure in summary.verdict.figures)


def test_the_only_model_with_enough_answers_is_not_called_the_only_one_that_answered() -> None:
    planted = album(80, {"a": 0.5, "b": 0.5})
    run = planted_run(planted.scores, favourite=planted.favourite)
    summary = summary_for(dataclasses.replace(run, answers=run.answers[:85]))
    assert summary.verdict.headline == "Only Model A answered enough"


def test_models_with_constant_scores_are_not_taken() -> None:
    kinds = [True, False] * 30
    constant = summary_for(
        planted_run({"a": [3.0] * 60, "b": [3.0] * 60}, favourite=kinds)
    ).verdict
    assert (constant.headline, constant.take) == ("None is known to beat chance", None)
    ratings = [1, 2, 3, 4, 5] * 12
    rated = summary_for(planted_run({"a": [3.0] * 60, "b": [3.0] * 60}, rating=ratings)).verdict
    assert (rated.take, rated.metric) == (None, "spearman")
    assert rated.headline == "None is known to beat chance"


def test_models_with_the_same_random_scores_are_not_taken() -> None:
    random = np.random.default_rng(1)
    noise = random.standard_normal(400)
    scores = {"a": noise, "b": noise + 0.01 * random.standard_normal(400)}
    verdict = summary_for(planted_run(scores, favourite=random.random(400) < 0.3)).verdict
    assert (verdict.headline, verdict.take) == ("None is known to beat chance", None)


def test_a_constant_that_beats_a_bad_model_is_not_taken() -> None:
    random = np.random.default_rng(1)
    favourite = random.random(400) < 0.3
    scores = {"a": np.full(400, 3.0), "b": random.standard_normal(400) - favourite}
    summary = summary_for(planted_run(scores, favourite=favourite))
    assert summary.differences[0].decided
    assert summary.verdict.take is None
    assert (
        "Model A ranks your favourite above another photo in 50 of" in summary.verdict.figures[0]
    )


def test_a_certain_but_tiny_difference_takes_the_faster_model() -> None:
    """Two models alike but for a few photos that one of them places a little worse, each time."""
    planted = album(3000, {"a": 0.3})
    worse = planted.scores["a"] - 0.05 * planted.favourite
    scores = {"a": planted.scores["a"], "b": worse}
    run = planted_run(scores, favourite=planted.favourite, seconds={"a": 3.0, "b": 1.0})
    summary = summary_for(run)
    (gap,) = summary.differences
    assert gap.better == "a"
    assert (gap.decided, gap.equivalent) == (True, True)
    assert 0.0 < gap.difference.low < gap.difference.high < 0.05
    assert summary.verdict.headline == "Take Model B"
    assert summary.verdict.figures[-1] == "Model B is 2.00 s faster per photo than Model A."


def test_equal_scores_of_all_pairs_are_a_caveat() -> None:
    run = planted_run({"a": [1.0] * 4})
    images = [photo.image_sha256 for photo in run.photos]
    answers = tuple(
        answer_of("a", first, 0.4, order=f"2:{second}", method="pairwise")
        for first, second in permutations(images, 2)
    )
    caveats = summarise(dataclasses.replace(run, answers=answers)).verdict.caveats
    assert any("Model A gave the score 0.4 to every pair" in caveat for caveat in caveats)


def test_rankings_use_common_photos_and_the_worst_case_uses_all() -> None:
    planted = album(100, {"a": 0.5, "b": 0.8})
    planted.scores["a"][:10] = np.nan
    summary = summary_for(planted_run(planted.scores, favourite=planted.favourite))
    kept = slice(10, None)
    expected = sklearn_metrics.roc_auc_score(planted.favourite[kept], planted.scores["b"][kept])
    assert summary.common == 90
    assert summary.models[1].owner["auc"].value == pytest.approx(expected)
    lowest = np.nan_to_num(planted.scores["a"], nan=-99.0)
    expected = sklearn_metrics.roc_auc_score(planted.favourite, lowest)
    assert summary.models[0].worst_case["auc"] == pytest.approx(expected)
    expected = sklearn_metrics.roc_auc_score(planted.favourite, planted.scores["b"])
    assert summary.models[1].worst_case["auc"] == pytest.approx(expected)
    assert any("Model A failed on 10 of 100" in caveat for caveat in summary.verdict.caveats)


def test_failures_that_would_change_the_leader_are_below_the_headline() -> None:
    planted = album(100, {"a": 0.3, "b": 0.9})
    planted.scores["a"][np.flatnonzero(planted.favourite)[:12]] = np.nan
    verdict = summary_for(planted_run(planted.scores, favourite=planted.favourite)).verdict
    assert any(
        figure.startswith("With each failure counted as the lowest score, Model B would be ahead")
        for figure in verdict.figures
    )


def test_caveats_are_shown_under_the_verdict() -> None:
    planted = album(80, {"a": 1.0})
    run = planted_run(
        {"a": planted.scores["a"], "b": [3.0] * 80},
        favourite=planted.favourite,
        burst=np.arange(80) // 2,
        mass=0.3,
        loads=2,
        provenance={"favourite_share": 0.1},
    )
    summary = summary_for(run)
    caveats = "\n".join(summary.verdict.caveats)
    assert {model.low_mass for model in summary.models} == {80}
    assert "Model A wanted to say something other than a label in 80 of 80 answers" in caveats
    assert "Model A was loaded 2 times" in caveats
    assert "Model B gave the score 3 to every photo" in caveats
    assert "80 photos belong to 40 bursts" in caveats
    assert "another client took the GPU, or its engine stopped" in caveats
    assert "Favourites are 10 % of the album and 30 % of the compared photos" in caveats
    assert "weighted back to the album's share" in caveats


def test_a_sample_with_extra_favourites_is_weighted_to_the_album() -> None:
    planted = album(100, {"a": 1.0, "b": 1.0})
    plain = summary_for(planted_run(planted.scores, favourite=planted.favourite))
    shares = {"favourite_share": 0.05}
    weighted = summary_for(
        planted_run(planted.scores, favourite=planted.favourite, provenance=shares)
    )
    of_plain, of_weighted = plain.models[0].owner, weighted.models[0].owner
    assert of_weighted["auc"] == of_plain["auc"]
    for metric in ("precision_at_k", "ndcg_at_k", "average_precision"):
        assert of_weighted[metric].value < of_plain[metric].value - 0.1


def test_constant_scores_and_few_answers_neither_warn_nor_crash() -> None:
    ratings = [1, 2, 3, 4, 5] * 8
    few: list[dict[str, list[float | None]]] = [
        {"a": [3.0] * 40, "b": [3.0] * 40},
        {"a": [3.0], "b": [None]},
        {"a": []},
    ]
    for scores in few:
        count = len(scores["a"])
        for seconds in ({"a": 0.0, "b": 0.0}, None):
            summary_for(
                planted_run(
                    scores,
                    favourite=[True, False] * (count // 2) + [True] * (count % 2),
                    rating=ratings[:count],
                    seconds=seconds,
                )
            )


def test_the_same_run_and_seed_give_the_same_summary() -> None:
    planted = album(60, {"a": 1.0, "b": 1.2})
    run = planted_run(planted.scores, favourite=planted.favourite)
    assert summary_for(run, seed=5) == summary_for(run, seed=5)
    assert summary_for(run, seed=5) != summary_for(run, seed=6)


def test_a_thousand_photos_of_three_models_take_less_than_two_seconds() -> None:
    """Of CPU time: other tests may run beside it."""
    planted = album(1000, {"a": 1.0, "b": 1.1, "c": 1.5})
    run = planted_run(planted.scores, favourite=planted.favourite, rating=planted.rating)
    before = time.process_time()
    summarise(run)
    assert time.process_time() - before < 2.0


def test_defaults() -> None:
    summary = summary_for(planted_run(album(60, {"a": 1.0}).scores))
    assert (summary.margin, summary.resamples, summary.top_k) == (0.05, 2000, 6)
    assert summary_for(planted_run({"a": [1.0]})).top_k == 1


def test_the_estimated_photos_decide_80_percent_of_runs() -> None:
    """The difference that was found is the true one: z = truth / error, and 80 % pass 1.96."""
    half = 0.1
    p = 2 * stats.norm.cdf(-0.06 / half * stats.norm.ppf(0.975))
    difference = Difference(
        better="a",
        worse="b",
        difference=Interval(value=0.06, low=0.06 - half, high=0.06 + half),
        p=p,
        p_holm=p,
        decided=False,
        equivalent=False,
    )
    more = more_photos(difference, photos=100, comparisons=1, margin=0.05)
    error = half / stats.norm.ppf(0.975) * np.sqrt(100 / (100 + more))
    assert stats.norm.cdf(0.06 / error - stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.02)
    assert more_photos(difference, photos=100, comparisons=3, margin=0.05) > more
    nothing = Interval(value=0.0, low=-half, high=half)
    none = dataclasses.replace(difference, difference=nothing, p=1.0)
    more = more_photos(none, photos=100, comparisons=1, margin=0.05)
    error = half / stats.norm.ppf(0.975) * np.sqrt(100 / (100 + more))
    one_sided = stats.norm.cdf(0.05 / error - stats.norm.ppf(0.95))
    assert one_sided == pytest.approx(0.8, abs=0.02)


def test_an_undecided_difference_always_needs_more_photos() -> None:
    """Of 28 pairs one whose interval is far from zero: its p counts, for that did not decide."""
    difference = Difference(
        better="a",
        worse="b",
        difference=Interval(value=0.55, low=0.385, high=0.707),
        p=0.0038,
        p_holm=0.106,
        decided=False,
        equivalent=False,
    )
    more = more_photos(difference, photos=60, comparisons=28, margin=0.05)
    needed = (stats.norm.ppf(1 - 0.025 / 28) + stats.norm.ppf(0.8)) / stats.norm.isf(0.0019)
    assert 0 <= more - (60 * needed**2 - 60) < 10
    at_the_limit = dataclasses.replace(difference, p=0.05 / 28, p_holm=0.05)
    assert more_photos(at_the_limit, photos=60, comparisons=28, margin=0.05) > 20


def test_one_of_several_methods_is_shown_and_the_others_are_named() -> None:
    run = planted_run({"a": [1.0, 2.0, 3.0], "b": [3.0, 2.0, 1.0]})
    first = run.answers[0]
    constant = tuple(
        dataclasses.replace(
            answer,
            score=3.0,
            key=dataclasses.replace(answer.key, method="rubric", prompt_sha256="r"),
        )
        for answer in run.answers
    )
    both = dataclasses.replace(run, answers=(*run.answers, *constant))
    last = summarise(both).verdict
    (step,) = last.steps[1:]
    assert step.why == "This report is by the method rubric. For the answers by score:"
    assert step.command.endswith(" -m ops bench report bench-runs/run --method score")
    assert "gave the score 3 to every photo" in " ".join(last.caveats)
    chosen = summarise(dataclasses.replace(both, method=first.key.method)).verdict
    assert "by the method score" in chosen.steps[1].why
    assert "every photo: it tells" not in " ".join(chosen.caveats)
