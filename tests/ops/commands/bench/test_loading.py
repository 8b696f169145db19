"""The share of a run's time that went into loading models, from its journal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops.commands.bench.loading import loading_of
from ops.commands.bench.results import Answer, Loading
from ops.commands.bench.statistics.sentences import of_loading
from ops.commands.bench.statistics.summarise import summarise
from tests.ops.commands.bench.planted_scores import answer_of, planted_run

WINDOW = ("--window", "30m")


def session(at: float, *, reached_by: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"at": at, "reached_by": list(reached_by)}


def load(
    model: str, at: float, seconds: float | None, *, by: str = "run", cold: bool = True
) -> dict[str, Any]:
    return {
        "model": model,
        "model_sha256": model * 64,
        "at": at,
        "seconds": seconds,
        "by": by,
        "cold": cold,
    }


def answer(model: str, at: float, wall_s: float, *, cold: bool = False) -> Answer:
    return answer_of(model, f"{at:064.0f}", 3.0, at=at, wall_s=wall_s, cold=cold)


def test_loads_count_without_the_answer_for_which_they_happened() -> None:
    answers = [*(answer("a", 144.0 + 4 * place, 4.0) for place in range(14))]
    loading = loading_of([session(100.0)], [load("a", 140.0, 40.0)], answers)
    assert loading == Loading(loading_s=36.0, asking_s=96.0, in_window=False, loaded_already=())


def test_a_load_for_another_client_counts_by_its_answer() -> None:
    answers = [
        answer("a", 144.0, 4.0),
        answer("a", 148.0, 4.0),
        answer("a", 182.0, 34.0, cold=True),
    ]
    notes = [load("a", 140.0, 40.0), load("a", 182.0, None, by="others")]
    loading = loading_of([session(100.0)], notes, answers)
    assert loading is not None
    assert (loading.loading_s, loading.asking_s) == (36.0 + 30.0, 82.0)


def test_the_wait_for_a_window_and_the_time_between_sessions_do_not_count() -> None:
    sessions = [
        session(0.0, reached_by=WINDOW),
        session(1000.0, reached_by=WINDOW),
        session(9000.0, reached_by=WINDOW),
    ]
    notes = [load("a", 1030.0, 30.0), load("a", 9030.0, 30.0)]
    answers = [answer("a", 1100.0, 0.0), answer("a", 9100.0, 0.0)]
    loading = loading_of(sessions, notes, answers)
    assert loading == Loading(loading_s=60.0, asking_s=200.0, in_window=True, loaded_already=())


def test_a_model_that_was_loaded_already_is_named() -> None:
    notes = [load("a", 130.0, 30.0), load("b", 150.0, None, cold=False)]
    answers = [answer("a", 140.0, 0.0), answer("b", 160.0, 2.0)]
    loading = loading_of([session(100.0)], notes, answers)
    assert loading is not None
    assert loading.loaded_already == ("b",)


def test_nothing_asked_has_no_loading() -> None:
    assert loading_of([session(1.0)], [], []) is None
    assert loading_of([session(100.0)], [], [answer("a", 50.0, 1.0)]) is None, "clock set back"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Loading models took 2.0 of 28 min of asking, 7 %."),
        ({"in_window": True}, "Loading models took 2.0 of 28 min of the window, 7 %."),
        ({"loading_s": 9.0, "asking_s": 90.0}, "Loading models took 9.0 of 90 s of asking, 10 %."),
        (
            {"loaded_already": ("b",)},
            "Loading models took 2.0 of 28 min of asking, 7 %, without Model B, loaded already.",
        ),
        (
            {"loading_s": 0.0, "loaded_already": ("a", "b")},
            "How much of the time goes into loading is not known: each model was loaded already.",
        ),
    ],
)
def test_one_sentence_says_the_share(changes: dict[str, Any], sentence: str) -> None:
    run = planted_run({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    plain = Loading(loading_s=120.0, asking_s=1680.0, in_window=False, loaded_already=())
    loading = replace(plain, **changes)
    summary = summarise(replace(run, loading=loading), resamples=10)
    assert summary.loading == loading
    assert of_loading(loading, summary.models) == summary.verdict.figures[-1] == sentence
