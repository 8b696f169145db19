"""The model that is taken and the figures below the headline, for planted comparisons."""

from __future__ import annotations

import re
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
        favourite_share=0.4,
        judged="40 are favourites",
        margin=0.05,
        random_weights=False,
    )
    return decide(evidence)


def test_the_fastest_equal_model_is_taken_if_it_beats_what_the_leader_beats() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.79, "C": 0.7},
        {"AB": "equivalent", "AC": "better", "BC": "better"},
        seconds={"A": 3.0, "B": 2.0, "C": 1.0},
    )
    assert (verdict.headline, verdict.take) == ("Take Model B", "b")
    assert verdict.figures == (
        "Model B and Model A differ by less than 5 pairs with 95 % certainty, which does not "
        "matter.",
        "Model B ranks your favourite above another photo in 79 of 100 pairs, Model A in 80, "
        "chance in 50.",
        "Model B is 1.00 s faster per photo than Model A.",
        "Model A leads Model C by 9 to 11 pairs (95 % interval).",
    )


def test_a_model_undecided_against_what_the_leader_beats_is_not_taken() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.76, "C": 0.72},
        {"AB": "equivalent", "AC": "better", "BC": "open"},
        seconds={"A": 3.0, "B": 1.0, "C": 2.0},
    )
    assert (verdict.headline, verdict.take) == ("Take Model A", "a")
    assert "Model B is faster, but not known to be as good as Model C." in verdict.figures


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
    assert verdict.figures[0].startswith("Model B, Model A and Model C differ by less than 5 ")
    assert "Model C is faster, but not known to be as good as Model D." in verdict.figures
    assert not [figure for figure in verdict.figures if "Model B is" in figure], "C is faster"


def test_the_leader_is_taken_if_two_models_equal_to_it_are_undecided() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.78, "C": 0.76},
        {"AB": "equivalent", "AC": "equivalent", "BC": "open"},
        seconds={"A": 3.0, "B": 2.0, "C": 1.0},
    )
    assert verdict.take == "a"
    assert verdict.figures[0].startswith("Model B and Model C each differ from Model A by less ")
    assert "Model C is faster, but not known to be as good as Model B." in verdict.figures


def test_models_with_a_decided_difference_are_not_named_as_equal() -> None:
    verdict = _verdict(
        {"A": 0.8, "B": 0.79, "C": 0.76},
        {"AB": "equivalent", "AC": "equivalent", "BC": "better"},
        seconds={"A": 3.0, "B": 1.0, "C": 2.0},
    )
    assert verdict.take == "b"
    assert verdict.figures[0].startswith("Model B and Model A differ by less than 5 pairs")
    assert verdict.figures[-1] == (
        "Model B leads Model C by 2 to 4 pairs (95 % interval); less than 5 pairs would not "
        "matter."
    )


def test_a_difference_below_the_margin_does_not_favour_the_slower_model() -> None:
    verdict = _verdict(
        {"A": 0.81, "B": 0.8},
        {"AB": "better, too little to matter"},
        seconds={"A": 3.0, "B": 1.0},
    )
    assert verdict.take == "b"


def test_a_lead_that_may_be_below_the_margin_says_so() -> None:
    small = _verdict({"A": 0.8, "B": 0.76}, {"AB": "better"})
    assert small.take == "a"
    assert small.figures[1] == (
        "Model A leads Model B by 3 to 5 pairs (95 % interval); less than 5 pairs would not "
        "matter."
    )
    large = _verdict({"A": 0.8, "B": 0.7}, {"AB": "better"})
    assert large.figures[1] == "Model A leads Model B by 9 to 11 pairs (95 % interval)."
    still_open = _verdict({"A": 0.8, "B": 0.76}, {"AB": "open"})
    assert still_open.figures[2] == (
        "Model A leads Model B by \u221216 to 24 pairs (95 % interval), which can be chance."
    )


@pytest.mark.parametrize(
    ("metric", "chance", "shown", "interval"),
    [
        (
            "auc",
            0.5,
            "Model A ranks your favourite above another photo in 53 of 100 pairs, chance in 50.",
            "48 to 58",
        ),
        (
            "spearman",
            0.0,
            "Model A agrees with your ratings by 0.03 (1 is the same order, 0 is chance).",
            "\u22120.02 to 0.08",
        ),
    ],
)
def test_no_model_is_taken_where_none_is_known_to_be_better_than_chance(
    metric: OwnerMetric, chance: float, shown: str, interval: str
) -> None:
    verdict = _verdict({"A": chance + 0.03, "B": chance + 0.02}, {"AB": "better"}, metric=metric)
    assert (verdict.headline, verdict.take) == ("None is known to beat chance", None)
    assert verdict.more_photos is None
    assert verdict.figures == (
        shown,
        f"Model A may be no better than chance: its 95 % interval is {interval}.",
    )


def test_a_slower_model_that_beats_chance_does_not_make_the_leader_do_so() -> None:
    verdict = _verdict(
        {"A": 0.56, "B": 0.55, "C": 0.5},
        {"AB": "equivalent", "AC": "better", "BC": "open"},
        half={"A": 0.07, "B": 0.04},
    )
    assert (verdict.headline, verdict.take) == ("Not decided", None)


def test_a_faster_model_that_may_be_chance_does_not_replace_the_leader() -> None:
    verdict = _verdict(
        {"A": 0.56, "B": 0.55},
        {"AB": "equivalent"},
        seconds={"A": 3.0, "B": 1.0},
        half={"A": 0.04, "B": 0.06},
    )
    assert verdict.take == "a"
    assert verdict.figures[-1] == "Model B is faster, but not known to be better than chance."


def test_equal_models_are_named_as_equal() -> None:
    verdict = _verdict({"A": 0.8, "B": 0.8}, {"AB": "open"})
    assert verdict.figures[2] == (
        "Model A and Model B are equal; the 95 % interval of their difference is "
        "\u221220 to 20 pairs."
    )


def test_of_many_undecided_models_the_first_are_named() -> None:
    names = "ABCDE"
    verdict = _verdict(
        {name: 0.8 - 0.01 * place for place, name in enumerate(names)},
        {f"{a}{b}": "open" for a, b in combinations(names, 2)},
    )
    assert verdict.figures[0] == "Model A, Model B and 3 others may each be the best."


def test_undecided_models_are_called_better_only_if_all_of_them_are() -> None:
    verdict = _verdict(
        {"A": 0.8, "C": 0.78, "B": 0.7},
        {"AB": "open", "AC": "better", "CB": "better"},
    )
    assert verdict.figures[0] == "Model A and Model B may each be the best."


@pytest.mark.parametrize("seconds", [{"A": None, "B": 1.0}, {"A": None, "B": None}])
def test_a_model_of_unknown_time_is_not_taken_as_faster(
    seconds: Mapping[str, float | None],
) -> None:
    verdict = _verdict({"A": 0.8, "B": 0.79}, {"AB": "equivalent"}, seconds=seconds)
    assert verdict.take == ("b" if seconds["B"] else "a")
    assert not re.search(r"faster|slower|inf|nan", " ".join(verdict.figures))
