"""The model that is taken and the claims of the sentence, for planted comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import pytest

from ops.commands.bench.statistics.standing import Evidence
from ops.commands.bench.statistics.verdict import decide
from ops.commands.bench.summary import (
    Agreement,
    Difference,
    Interval,
    ModelSummary,
    OwnerMetric,
    Speed,
    Verdict,
)

Known = Literal["better", "equivalent", "better, too little to matter", "open"]
HALF: Mapping[Known, float] = {
    "better": 0.01,
    "equivalent": 0.03,
    "better, too little to matter": 0.005,
    "open": 0.2,
}


def _model(
    name: str, value: float, seconds: float | None, half: float, metric: OwnerMetric
) -> ModelSummary:
    return ModelSummary(
        id=name.lower(),
        name=f"Model {name}",
        answered=100,
        asked=100,
        failures={},
        failure_rate=Interval(value=0.0, low=0.0, high=0.04),
        low_mass=0,
        owner={metric: Interval(value=value, low=value - half, high=value + half)},
        worst_case={metric: value},
        speed=Speed(
            warm_p50_s=seconds, warm_p95_s=seconds, cold_load_s=None, photos_per_30_min=None
        ),
    )


def _verdict(
    values: Mapping[str, float],
    known: Mapping[str, Known],
    *,
    seconds: Mapping[str, float | None] | None = None,
    half: Mapping[str, float] | None = None,
    metric: OwnerMetric = "auc",
) -> Verdict:
    """Decide between models.

    Args:
        values: Model -> by the metric that decides.
        known: Two models, the better one first -> what is known of them.
        seconds: Model -> of a warm answer; left out: 1 s, 2 s, 3 s, ...
        half: Model -> half of its own interval; left out: 0.05.
        metric: What decides.
    """
    times = seconds or {name: 1.0 + place for place, name in enumerate(values)}
    models = tuple(
        _model(name, value, times[name], (half or {}).get(name, 0.05), metric)
        for name, value in values.items()
    )
    order = sorted(values, key=lambda name: -values[name])
    differences = []
    for better, worse in combinations(order, 2):
        relation = known[better + worse]
        gap = values[better] - values[worse]
        is_decided = relation.startswith("better")
        differences.append(
            Difference(
                better=better.lower(),
                worse=worse.lower(),
                difference=Interval(
                    value=gap, low=gap - HALF[relation], high=gap + HALF[relation]
                ),
                p=0.001 if is_decided else 0.4,
                p_holm=0.003 if is_decided else 0.4,
                decided=is_decided,
                equivalent=relation in ("equivalent", "better, too little to matter"),
            )
        )
    evidence = Evidence(
        models=models,
        asked=models,
        metric=metric,
        differences=tuple(differences),
        sufficient=True,
        agreement=Agreement(
            models=tuple(model.id for model in models),
            spearman=(),
            tau=(),
            top_k=(),
            icc_consistency=None,
            icc_agreement=None,
            alpha=None,
        ),
        photos=100,
        favourites=40,
        others=60,
        rated=0,
        margin=0.05,
        random_weights=False,
    )
    return decide(evidence, [])


def test_the_fastest_equal_model_is_taken_if_it_beats_what_the_leader_beats() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.79, "C": 0.7},
        {"AB": "equivalent", "AC": "better", "BC": "better"},
        seconds={"A": 3.0, "B": 2.0, "C": 1.0},
    )
    assert (verdict.take, verdict.decided, verdict.equivalent) == ("b", True, True)
    assert verdict.sentence == (
        "Take Model B, faster than Model A by 1.0 s per photo: no difference that matters between "
        "Model A and Model B; they put a favourite before another photo in 80 and 79 of 100 pairs "
        "(50 is chance), with 95 % certainty less than 5 apart; Model A beats Model C by 10.0 "
        "(95 % interval 9.0 to 11.0)."
    )


def test_a_model_undecided_against_what_the_leader_beats_is_not_taken() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.76, "C": 0.72},
        {"AB": "equivalent", "AC": "better", "BC": "open"},
        seconds={"A": 3.0, "B": 1.0, "C": 2.0},
    )
    assert (verdict.take, verdict.decided, verdict.equivalent) == ("a", True, True)
    assert verdict.sentence.startswith("Take Model A: no difference that matters between Model A")
    assert (
        "; Model B is faster by 2.0 s per photo, but not known to be as good as Model C; "
        in verdict.sentence
    )


def test_a_model_that_is_worse_than_what_the_leader_beats_is_not_taken() -> None:
    verdict = _verdict(
        {"A": 0.8, "C": 0.79, "B": 0.765},
        {"AB": "equivalent", "AC": "better", "CB": "better"},
        seconds={"A": 3.0, "B": 1.0, "C": 2.0},
    )
    assert verdict.take == "a"


def test_the_next_fastest_is_tried_before_the_leader() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.79, "C": 0.78, "D": 0.7},
        {
            "AB": "equivalent",
            "AC": "equivalent",
            "BC": "equivalent",
            "AD": "better",
            "BD": "better",
            "CD": "open",
        },
        seconds={"A": 3.0, "B": 2.0, "C": 1.0, "D": 4.0},
    )
    assert verdict.take == "b"
    assert "between Model A, Model B and Model C" in verdict.sentence
    assert "Model C is faster by 1.0 s per photo, but not known to be as good as Model D" in (
        verdict.sentence
    )


def test_the_leader_is_taken_if_two_models_equal_to_it_are_undecided() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.78, "C": 0.76},
        {"AB": "equivalent", "AC": "equivalent", "BC": "open"},
        seconds={"A": 3.0, "B": 2.0, "C": 1.0},
    )
    assert verdict.take == "a"
    assert "between it and Model B and between it and Model C" in verdict.sentence
    assert "less than 5 from Model A" in verdict.sentence
    assert "Model C is faster by 2.0 s per photo, but not known to be as good as Model B" in (
        verdict.sentence
    )


def test_models_with_a_decided_difference_are_not_named_as_equal() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.79, "C": 0.76},
        {"AB": "equivalent", "AC": "equivalent", "BC": "better"},
        seconds={"A": 3.0, "B": 1.0, "C": 2.0},
    )
    assert verdict.take == "b"
    assert "no difference that matters between Model A and Model B; " in verdict.sentence
    assert (
        "Model B beats Model C by 3.0 (95 % interval 2.0 to 4.0: it may be below 5, too small"
        in (verdict.sentence)
    )


def test_a_difference_below_the_margin_does_not_favour_the_slower_model() -> None:
    verdict = _verdict(
        {"A": 0.81, "B": 0.8},
        {"AB": "better, too little to matter"},
        seconds={"A": 3.0, "B": 1.0},
    )
    assert (verdict.take, verdict.decided, verdict.equivalent) == ("b", True, True)


def test_a_lead_that_may_be_below_the_margin_is_a_caveat() -> None:
    small = _verdict({"A": 0.8, "B": 0.76}, {"AB": "better"})
    assert small.take == "a"
    assert "the difference is 4.0 (95 % interval 3.0 to 5.0: it may be below 5, too small" in (
        small.sentence
    )
    large = _verdict({"A": 0.8, "B": 0.7}, {"AB": "better"})
    assert "the difference is 10.0 (95 % interval 9.0 to 11.0), and" in large.sentence
    assert "too small" not in large.sentence
    still_open = _verdict({"A": 0.8, "B": 0.76}, {"AB": "open"})
    assert "too small" not in still_open.sentence


@pytest.mark.parametrize(
    ("metric", "chance", "shown"),
    [
        (
            "auc",
            0.5,
            "Neither Model A nor Model B is known to pick better than chance: they put a "
            "favourite before another photo in 53 and 52 of 100 pairs (50 is chance), with 95 % "
            "intervals of 48.0 to 58.0 and 47.0 to 57.0.",
        ),
        (
            "spearman",
            0.0,
            "Neither Model A nor Model B is known to pick better than chance: their orders of the "
            "photos agree with your ratings by 0.03 and 0.02 (1 is the same order, 0 is chance), "
            "with 95 % intervals of -0.02 to 0.08 and -0.03 to 0.07.",
        ),
    ],
)
@pytest.mark.parametrize("known", ["equivalent", "better"])
def test_no_model_is_taken_where_none_is_known_to_be_better_than_chance(
    metric: OwnerMetric, chance: float, shown: str, known: Known
) -> None:
    values = {"A": chance + 0.03, "B": chance + 0.02}
    verdict = _verdict(values, {"AB": known}, metric=metric)
    assert (verdict.take, verdict.decided, verdict.equivalent) == (None, False, False)
    assert verdict.more_photos is None
    assert verdict.sentence == shown


def test_three_models_that_guess_are_all_named() -> None:
    verdict = _verdict(
        {"A": 0.53, "B": 0.52, "C": 0.4},
        {"AB": "equivalent", "AC": "better", "BC": "better"},
    )
    assert verdict.take is None
    assert verdict.sentence.startswith("None of Model A, Model B and Model C is known to pick")


def test_a_faster_model_that_may_be_chance_does_not_replace_the_leader() -> None:
    verdict = _verdict(
        {"A": 0.56, "B": 0.55},
        {"AB": "equivalent"},
        seconds={"A": 3.0, "B": 1.0},
        half={"A": 0.04, "B": 0.06},
    )
    assert verdict.take == "a"
    assert verdict.sentence.endswith(
        "; Model B is faster by 2.0 s per photo, but not known to be better than chance."
    )


def test_equal_models_are_named_as_equal() -> None:
    two = _verdict({"A": 0.8, "B": 0.8}, {"AB": "open"})
    assert "; Model A equals Model B (95 % interval -20.0 to 20.0), and about " in two.sentence
    assert "leads" not in two.sentence
    three = _verdict({"A": 0.8, "B": 0.8, "C": 0.77}, {"AB": "open", "AC": "open", "BC": "open"})
    assert (
        "; Model A leads Model C by 3.0 (95 % interval -17.0 to 23.0) and equals Model B "
        "(95 % interval -20.0 to 20.0), and about " in three.sentence
    )


def test_undecided_models_are_called_better_only_if_all_of_them_are() -> None:
    verdict = _verdict(
        {"A": 0.8, "C": 0.78, "B": 0.7},
        {"AB": "open", "AC": "better", "CB": "better"},
    )
    assert "are better than" not in verdict.sentence
    assert verdict.sentence.startswith("Not decided between Model A and Model B: ")


@pytest.mark.parametrize("seconds", [{"A": None, "B": 1.0}, {"A": None, "B": None}])
def test_a_model_of_unknown_time_is_not_taken_as_faster(
    seconds: Mapping[str, float | None],
) -> None:
    verdict = _verdict({"A": 0.8, "B": 0.79}, {"AB": "equivalent"}, seconds=seconds)
    assert verdict.take == ("b" if seconds["B"] else "a")
    assert "faster" not in verdict.sentence
    assert "inf" not in verdict.sentence
    assert "nan" not in verdict.sentence
