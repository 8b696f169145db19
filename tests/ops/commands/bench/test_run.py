"""Measuring: questions and repeats, failures, swaps by other clients, and short time."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ops.commands.bench.album.collect import collect
from ops.commands.bench.album.photos_from import PhotosFrom
from ops.commands.bench.answers import Journal, create, load, read_journal
from ops.commands.bench.asking import schedule
from ops.commands.bench.asking.allowance import Pace, needed_s, units_that_fit
from ops.commands.bench.asking.exchange import Asker
from ops.commands.bench.asking.measure import Measurement
from ops.commands.bench.asking.methods import prompt_of
from ops.commands.bench.asking.plan import Ended, Plan
from ops.commands.bench.asking.progress import Display
from ops.commands.bench.asking.rubric import as_document, read_rubric, rubric_of
from ops.commands.bench.results import Method, ModelRun
from ops.commands.bench.session import Settings, note_session
from ops.endpoint.client import Endpoint
from ops.errors import OpsError
from tests.fakes.scoring_server import MODELS, Clock, ScoringServer, planted
from tests.ops.commands.bench.photo_runs import (
    expected_scores,
    photo_folder,
    photo_questions,
    scores,
)

A, B, C = MODELS
RUBRIC = read_rubric()


class EachLook:
    """A clock that advances one second per read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


class Bench:
    """A run over its own photos."""

    def __init__(self, folder: Path, count: int = 12) -> None:
        self.run_dir = folder / "run"
        self.messages: list[str] = []
        self.settings = Settings(
            source=PhotosFrom(folder=photo_folder(folder / "photos", count)),
            models=MODELS,
            method="score",
            sample=None,
            seed=1,
            random_weights=False,
        )
        header = {"id": "r", "started_at": 1.0, "source": "photos", "settings": {}}
        create(self.run_dir, header)
        with self.settings.source.opened(leave_out=self.run_dir) as source:
            self.photos = collect(self.run_dir, source, say=print)
        self.images = schedule.sent(self.photos)

    def model(self, name: str, sha256: str = "") -> ModelRun:
        sha256 = sha256 or f"sha256 of {name}"
        return ModelRun(id=name, name=name, sha256=sha256, context=1, quantisation="F32")

    def measure(
        self,
        server: ScoringServer,
        *,
        method: Method = "score",
        rubric: Any = RUBRIC,
        models: tuple[ModelRun, ...] = (),
        timeout_s: float = 10,
        units: tuple[schedule.Unit, ...] = (),
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Ended:
        prompt = prompt_of(method, rubric)
        models = models or tuple(map(self.model, MODELS))
        plan = Plan(
            prompt=prompt,
            units=units or schedule.of_photos(self.images),
            models=models,
            images=self.run_dir / "images",
            deadline=deadline,
        )
        display = Display(Console(file=io.StringIO()))
        display.say = self.messages.append  # type: ignore[assignment]
        with (
            Journal(self.run_dir) as journal,
            Endpoint(server.url) as endpoint,
            Asker(server.url, key="", timeout_s=timeout_s, clock=clock) as asker,
        ):
            note_session(
                journal, self.run_dir, prompt=prompt, rubric=rubric, models=models,
                settings=self.settings, thumbnails=None, engine_build=None, command=["bench"],
                reached_by=(), say=self.messages.append,
            )  # fmt: skip
            options = {} if clock is None else {"clock": clock}
            measurement = Measurement(
                plan, journal, endpoint=endpoint, asker=asker, display=display, **options
            )
            return measurement.run()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_every_model_scores_every_photo_in_one_load(bench: Bench) -> None:
    with ScoringServer() as server:
        ended = bench.measure(server)
    run = load(bench.run_dir)
    assert scores(run) == pytest.approx(expected_scores(run))
    assert server.loads == [A, B, C]
    assert [model.loads for model in run.models] == [1, 1, 1]
    assert set(photo_questions(server, bench.images).values()) == {1}
    assert (ended.asked, ended.units, ended.skipped) == (36, 12, {})
    assert not any(answer.cold for answer in run.answers)
    assert [answer.mass for answer in run.answers] == pytest.approx([0.9] * 36)


def test_every_model_sees_the_same_photos_in_the_same_order(bench: Bench) -> None:
    with ScoringServer() as server:
        bench.measure(server)
    orders = [[sent[0] for model, sent in server.asked if model == name] for name in MODELS]
    # The first one is the warm-up's picture.
    assert [order[1:] for order in orders] == [list(bench.images)] * 3


def test_one_question_at_a_time_over_one_connection(bench: Bench) -> None:
    with ScoringServer(answer_s=0.01) as server:
        bench.measure(server)
    assert server.at_once == 1
    assert server.connections == 1
    assert not any("stream" in body for body in server.bodies)


def test_a_finished_run_asks_and_loads_nothing(bench: Bench) -> None:
    with ScoringServer() as server:
        bench.measure(server)
    with ScoringServer() as again:
        assert bench.measure(again).asked == 0
    assert (again.asked, again.loads) == ([], [])


def test_only_missing_answers_are_asked(bench: Bench) -> None:
    with ScoringServer() as server:
        bench.measure(server, units=schedule.of_photos(bench.images[:5]))
    with ScoringServer() as server:
        bench.measure(server)
    assert set(photo_questions(server, bench.images)) == {
        (model, image) for model in MODELS for image in bench.images[5:]
    }
    run = load(bench.run_dir)
    assert scores(run) == pytest.approx(expected_scores(run))


def test_a_changed_rubric_is_asked_again_with_a_message(bench: Bench) -> None:
    with ScoringServer() as server:
        bench.measure(server)
        bench.messages.clear()
        stricter = rubric_of(as_document(RUBRIC) | {"system": "Be strict."}, where="it")
        assert bench.measure(server, rubric=stricter).asked == 36
    assert any("the rubric changed" in line for line in bench.messages)
    assert len(load(bench.run_dir).answers) == 36


def test_a_model_with_changed_files_is_asked_again_with_a_message(bench: Bench) -> None:
    with ScoringServer() as server:
        bench.measure(server)
        bench.messages.clear()
        models = (bench.model(A), bench.model(B, "other files"), bench.model(C))
        assert bench.measure(server, models=models).asked == 12
    assert [line for line in bench.messages if "the files of" in line] == [
        f"the files of {B} changed: asking it about every photo again"
    ]
    assert len(load(bench.run_dir).answers) == 36


FAULTS = {
    "http_4xx": "http_4xx",
    "http_5xx": "http_5xx",
    "server_500_format": "server_500_format",
    "timeout": "timeout",
    "connection": "connection",
    "cut": "cut",
    "empty": "empty",
    "no_logprobs": "no_logprobs",
    "no_label": "no_label",
    "no_json": "invalid_answer",
    "invalid_answer": "invalid_answer",
    "out_of_range": "out_of_range",
}


def test_every_failure_has_its_class_and_only_a_broken_connection_is_retried(
    bench: Bench,
) -> None:
    bad = dict(zip(bench.images, FAULTS, strict=True))
    with ScoringServer(faults=bad) as server:
        bench.measure(server, timeout_s=1, models=(bench.model(A),))
        answers = {answer.key.image_sha256: answer for answer in load(bench.run_dir).answers}
        failures = {bad[image]: answer.failure for image, answer in answers.items()}
        assert failures == FAULTS
        assert all(answer.score is None for answer in answers.values())
        tries = {
            bad[image]: count
            for (_, image), count in photo_questions(server, bench.images).items()
        }
        assert {name for name, count in tries.items() if count > 1} == {"connection"}
        assert tries["connection"] == 2
        assert answers[bench.images[4]].attempt == 2
        assert bench.measure(server, timeout_s=1, models=(bench.model(A),)).asked == 0


def test_a_rubric_answer_that_is_cut_short_is_truncated(bench: Bench) -> None:
    with ScoringServer(faults={bench.images[3]: "truncated"}) as server:
        bench.measure(server, method="rubric", models=(bench.model(A),))
    answers = load(bench.run_dir).answers
    assert [answer.key.image_sha256 for answer in answers if answer.failure] == [bench.images[3]]
    assert {answer.failure for answer in answers} == {None, "truncated"}
    whole = next(answer for answer in answers if answer.failure is None)
    assert whole.criteria == pytest.approx(
        dict.fromkeys(RUBRIC.criteria, planted(whole.key.image_sha256))
    )


def test_a_failed_answer_keeps_its_raw_text(bench: Bench) -> None:
    faults = {bench.images[0]: "http_4xx", bench.images[1]: "invalid_answer"}
    with ScoringServer(faults=faults) as server:
        bench.measure(server, models=(bench.model(A),))
    raw = {answer.failure: answer.raw for answer in load(bench.run_dir).answers}
    assert "status 400" in raw["http_4xx"]
    assert "Failed to load image" in raw["http_4xx"]
    assert raw["invalid_answer"] == "The"


def test_a_model_that_does_not_load_is_skipped_and_the_others_are_asked(bench: Bench) -> None:
    with ScoringServer(faults={B: "http_5xx"}) as server:
        ended = bench.measure(server)
    assert list(ended.skipped) == [B]
    assert ended.skipped[B].startswith("it does not answer at all (http_5xx)")
    assert Counter(answer.model for answer in load(bench.run_dir).answers) == {A: 12, C: 12}


def test_a_model_that_fails_ten_times_in_a_row_is_skipped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 20)
    faults = {f"{A} {image}": "http_5xx" for image in bench.images[3:]}
    with ScoringServer(faults=faults) as server:
        ended = bench.measure(server)
    assert ended.skipped[A].startswith("10 failures in a row, the last one http_5xx")
    counted = Counter(answer.model for answer in load(bench.run_dir).answers)
    assert counted == {A: 13, B: 20, C: 20}


def test_an_unreachable_endpoint_ends_the_run_without_a_failed_photo(bench: Bench) -> None:
    server = ScoringServer(faults={bench.images[4]: "connection"})
    with server:
        server.models = ()
        chat = server.chat

        def gone(body: dict[str, Any]) -> tuple[int, Any] | None:
            reply = chat(body)
            if reply is None and server._server is not None:
                server._server.socket.close()
            return reply

        server.chat = gone  # type: ignore[method-assign]
        with pytest.raises(OpsError, match="the endpoint no longer answers"):
            bench.measure(server)
    assert [answer.failure for answer in load(bench.run_dir).answers] == [None] * 4


def test_an_unload_by_another_client_is_counted_and_its_answer_is_cold(
    tmp_path: Path,
) -> None:
    """The list of loaded models shows it before a block of questions."""
    bench = Bench(tmp_path, 30)
    with ScoringServer(swapped_after=(21,), load_s=0.05) as server:
        bench.measure(server, models=(bench.model(A),))
    run = load(bench.run_dir)
    assert server.loads == [A, A]
    assert run.models[0].loads == 2
    assert [place for place, answer in enumerate(run.answers) if answer.cold] == [20]
    assert any("another client unloaded" in line for line in bench.messages)


def test_a_finished_swap_is_detected_by_wait_and_empty_cache(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 15)
    server = ScoringServer(swapped_after=(8,), swapped_back=True, load_s=0.6)
    with server:
        bench.measure(server, models=(bench.model(A),))
    run = load(bench.run_dir)
    assert [place for place, answer in enumerate(run.answers) if answer.cold] == [7]
    assert run.models[0].loads == 2


def test_a_slow_answer_of_a_warm_model_is_not_cold(bench: Bench) -> None:
    with ScoringServer() as server:
        chat = server.chat

        def slow(body: dict[str, Any]) -> tuple[int, Any] | None:
            if len(server.asked) == 9:
                time.sleep(0.6)
            return chat(body)

        server.chat = slow  # type: ignore[method-assign]
        bench.measure(server, models=(bench.model(A),))
    run = load(bench.run_dir)
    assert not any(answer.cold for answer in run.answers)
    assert run.models[0].loads == 1


def test_the_cold_load_is_measured_apart_from_the_answers(bench: Bench) -> None:
    with ScoringServer(load_s=0.5) as server:
        bench.measure(server)
    run = load(bench.run_dir)
    assert all(model.cold_load_s is not None and model.cold_load_s >= 0.5 for model in run.models)
    assert all(answer.wall_s < 0.5 for answer in run.answers)


def test_a_model_that_is_already_loaded_has_no_cold_load(bench: Bench) -> None:
    with ScoringServer(loaded=A) as server:
        bench.measure(server)
    assert [model.loads for model in load(bench.run_dir).models] == [0, 1, 1]


def test_a_label_of_two_tokens_is_refused_before_the_first_photo(bench: Bench) -> None:
    labels = [{"label": str(number)} for number in range(1, 11)]
    rubric = rubric_of(as_document(RUBRIC) | {"labels": labels}, where="it")
    with ScoringServer(two_tokens=("10",)) as server, pytest.raises(OpsError) as refused:
        bench.measure(server, rubric=rubric)
    assert str(refused.value).startswith(f"label '10' is 2 tokens of {A}; ")
    assert photo_questions(server, bench.images) == {}


def test_without_a_tokenizer_the_warm_up_checks_the_labels(bench: Bench) -> None:
    with ScoringServer(has_tokenizer=False) as server:
        bench.measure(server)
        run = load(bench.run_dir)
        assert scores(run) == pytest.approx(expected_scores(run))
        labels = [{"label": "1"}, {"label": "10"}]
        rubric = rubric_of(as_document(RUBRIC) | {"labels": labels}, where="it")
        with pytest.raises(OpsError, match="label '10' is not among the likeliest tokens"):
            bench.measure(server, rubric=rubric)


def test_asking_both_orders_cancels_a_position_bias(bench: Bench) -> None:
    units = schedule.of_pairs(bench.images, pairs_per_photo=3, seed=1)
    with ScoringServer(bias=1.5) as server:
        bench.measure(server, method="pairwise", units=units, models=(bench.model(A),))
    logits = {
        (answer.key.image_sha256, answer.key.order.partition(":")[2]): answer.score
        for answer in load(bench.run_dir).answers
    }
    assert len(logits) == 2 * len(units)
    for (first, second), score in logits.items():
        back = logits[second, first]
        assert score is not None
        assert back is not None
        assert (score - back) / 2 == pytest.approx(planted(first) - planted(second))
        assert (score + back) / 2 == pytest.approx(1.5)


def test_the_mean_over_the_anchors_keeps_the_order_of_the_photos(bench: Bench) -> None:
    units = schedule.of_anchors(bench.images, bench.images[:3])
    with ScoringServer(bias=1.5) as server:
        bench.measure(server, method="anchored", units=units, models=(bench.model(A),))
    means: Counter[str] = Counter()
    for answer in load(bench.run_dir).answers:
        assert answer.score is not None
        means[answer.key.image_sha256] += answer.score / 3  # type: ignore[assignment]
    places = sum(planted(anchor) for anchor in bench.images[:3]) / 3
    for image, mean in means.items():
        assert mean == pytest.approx(planted(image) - places - 1.5)


def test_short_time_asks_all_models_about_the_same_photos(tmp_path: Path) -> None:
    """33 of 100 s are three loads, their warm-ups and five photos each. 95 % of the other 67 hold
    two more loads with a warm-up, and 17 photos more of each model.
    """
    bench = Bench(tmp_path, 60)
    clock = Clock()
    with ScoringServer(answer_s=1, load_s=5, sleep=clock.sleep) as server:
        ended = bench.measure(server, deadline=100, clock=clock)
    assert Counter(answer.model for answer in load(bench.run_dir).answers) == {A: 22, B: 22, C: 22}
    assert (ended.units, ended.out_of_time) == (22, False)
    assert [line for line in bench.messages if line.startswith("forecast")] == [
        "forecast: 22 of 60 photos per model fit into the remaining 1 min"
    ]
    # The model that is loaded after the first five photos of each is asked next.
    assert server.loads == [A, B, C, A, B]
    assert clock.now <= 100


def test_a_slower_second_window_resumes_after_the_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 30)
    clock = Clock()
    with ScoringServer(answer_s=1, load_s=5, sleep=clock.sleep) as server:
        first = bench.measure(server, deadline=70, clock=clock)
        second = bench.measure(server, deadline=clock.now + 200, clock=clock)
    assert first.units < 30
    assert second.units == 30
    assert set(photo_questions(server, bench.images).values()) == {1}
    # The known pace of the models is not measured again.
    assert len(server.loads) == 3 + 2 + 2


def test_enough_time_asks_everything(bench: Bench) -> None:
    clock = Clock()
    with ScoringServer(answer_s=1, sleep=clock.sleep) as server:
        ended = bench.measure(server, deadline=600, clock=clock)
    assert (ended.units, ended.out_of_time) == (12, False)
    assert [line for line in bench.messages if line.startswith("forecast")] == [
        "forecast: all 12 photos take 0 of the remaining 10 min"
    ]


def test_the_end_of_the_time_comes_between_two_answers(bench: Bench) -> None:
    with ScoringServer() as server:
        ended = bench.measure(server, deadline=10.0, clock=EachLook())
    assert ended.out_of_time
    asked = sum(photo_questions(server, bench.images).values())
    assert asked == len(load(bench.run_dir).answers) == ended.asked < 36


def test_the_forecast_counts_loads_and_kept_answers() -> None:
    fast = Pace(load_s=10, unit_s=1, done=5)
    slow = Pace(load_s=10, unit_s=4, done=5)
    loaded = replace(slow, load_s=0)
    assert needed_s([fast, slow], 5) == 0
    assert needed_s([fast, slow], 15) == 20 + 10 + 40
    # 5 % of the time is reserved: 95 of 100 s.
    assert units_that_fit([fast, slow], 100, most=1000) == 5 + (95 - 20) // 5
    assert units_that_fit([fast, loaded], 100, most=1000) == 5 + (95 - 10) // 5
    assert units_that_fit([fast, slow], 100, most=7) == 7
    assert units_that_fit([fast, slow], 0, most=1000) == 5
    assert units_that_fit([], 100, most=7) == 7


def test_the_engines_command_is_kept_without_its_key(bench: Bench) -> None:
    with ScoringServer() as server:
        bench.measure(server)
    engine = load(bench.run_dir).provenance["engines"][A]
    assert engine["command"] == "llama-server --model model.gguf --api-key [redacted] --port 5800"
    assert set(engine["label_tokens"]) == set("12345")
    assert [entry["by"] for entry in read_journal(bench.run_dir, "load")] == ["run"] * 3


def test_a_model_whose_first_answers_fail_gets_its_share_of_the_time(
    tmp_path: Path,
) -> None:
    """Failures take time too: without their time the forecast would never be made."""
    bench = Bench(tmp_path, 60)
    clock = Clock()
    faults = {f"{B} {image}": "empty" for image in bench.images[:5]}
    with ScoringServer(answer_s=1, load_s=5, sleep=clock.sleep, faults=faults) as server:
        ended = bench.measure(server, deadline=100, clock=clock)
    assert Counter(answer.model for answer in load(bench.run_dir).answers) == {A: 22, B: 22, C: 22}
    assert (ended.units, ended.out_of_time) == (22, False)


def test_an_answer_that_arrives_too_slowly_is_a_timeout(bench: Bench) -> None:
    begin = time.monotonic()
    with ScoringServer(faults={bench.images[2]: "drip"}) as server:
        bench.measure(server, timeout_s=1, models=(bench.model(A),))
    assert time.monotonic() - begin < 5
    failures = [answer.failure for answer in load(bench.run_dir).answers if answer.failure]
    assert failures == ["timeout"]


def test_an_answer_that_the_windows_end_interrupts_is_not_a_failure(bench: Bench) -> None:
    with ScoringServer(faults={bench.images[2]: "drip"}) as server:
        deadline = time.monotonic() + 2
        ended = bench.measure(server, deadline=deadline, models=(bench.model(A),))
        assert time.monotonic() < deadline + 2
    assert ended.out_of_time
    assert [answer.failure for answer in load(bench.run_dir).answers] == [None, None]


def test_a_label_of_two_tokens_in_a_later_model_skips_that_model(bench: Bench) -> None:
    with ScoringServer(two_tokens=(f"{B} 1",)) as server:
        ended = bench.measure(server)
    assert ended.skipped[B].startswith(f"label '1' is 2 tokens of {B}")
    assert Counter(answer.model for answer in load(bench.run_dir).answers) == {A: 12, C: 12}


def test_an_answer_without_a_number_has_no_score(bench: Bench) -> None:
    faults = {bench.images[1]: "infinite", bench.images[2]: "204", bench.images[3]: "302"}
    with ScoringServer(faults=faults) as server:
        bench.measure(server, models=(bench.model(A),))
    answers = load(bench.run_dir).answers
    assert [answer.failure for answer in answers[:5]] == [
        None,
        "no_label",
        "invalid_answer",
        "invalid_answer",
        None,
    ]
    labels = [{"label": "1", "value": float("nan")}, {"label": "2"}]
    with pytest.raises(OpsError, match="the value of '1' is nan"):
        rubric_of(as_document(RUBRIC) | {"labels": labels}, where="it")


def test_both_attempts_share_the_remaining_time(bench: Bench) -> None:
    def breaks_late(body: dict[str, Any]) -> tuple[int, Any] | None:
        if len(server.asked) < 3:
            return chat(body)
        time.sleep(0.8)
        server.asked.append((A, ("broken",)))
        return None

    with ScoringServer() as server:
        chat = server.chat
        server.chat = breaks_late  # type: ignore[method-assign]
        deadline = time.monotonic() + 1.2
        ended = bench.measure(server, deadline=deadline, models=(bench.model(A),))
        assert time.monotonic() < deadline + 0.6
    assert ended.out_of_time
    assert [answer.failure for answer in load(bench.run_dir).answers] == [None] * 2
