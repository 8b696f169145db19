"""The command `bench`: runs that begin, resume, are stopped, and are refused."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ops.cli import main
from ops.commands.bench import command as bench_cli
from ops.commands.bench import whole_run
from ops.commands.bench.answers import load, read_answers, read_journal
from tests.conftest import ROOT
from tests.fakes.forked_program import Program
from tests.fakes.scoring_server import MODELS, ScoringServer
from tests.ops.commands.bench.photo_runs import (
    bench,
    expected_scores,
    fails,
    photo_folder,
    photo_questions,
    runs,
    scores,
)

pytestmark = pytest.mark.usefixtures("bench_apart")

A, B, C = MODELS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos", 12)


def command(tmp_path: Path, *arguments: str | Path) -> Program:
    return Program(name="ops", arguments=("bench", *map(str, arguments)), log=tmp_path / "log")


def wait_for(server: ScoringServer, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(server.asked) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_command_asks_all_models_and_writes_a_report(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScoringServer() as server:
        assert bench(server, photos) == 0
    (run_dir,) = runs(tmp_path)
    run = load(run_dir)
    assert scores(run) == pytest.approx(expected_scores(run))
    assert len(run.answers) == 36
    assert run.source == str(photos)
    assert (run_dir / "report.html").is_file()
    shown = capsys.readouterr().out
    assert f"wrote {run_dir / 'report.html'}" in shown
    assert run_dir.stat().st_mode & 0o77 == 0


def test_an_unfinished_run_resumes_and_another_seed_begins_a_new_one(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScoringServer() as server:
        server.models = MODELS[:2]
        assert "does not offer qwen3vl-4b" in fails(capsys, photos, "--url", server.url)
        server.models = MODELS
        assert bench(server, photos) == 0
        assert f"resuming {runs(tmp_path)[0]}" in capsys.readouterr().err.replace("\n", " ")
        assert len(runs(tmp_path)) == 1
        assert bench(server, photos, "--seed", "1") == 0
        assert len(runs(tmp_path)) == 2
    assert all(len(load(run_dir).answers) == 36 for run_dir in runs(tmp_path))


def test_a_run_resumes_by_its_directory_alone(photos: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "mine"
    options = ("--model", B, "--sample", "7", "--random-weights", "--method", "rubric")
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, *options) == 0
        asked = len(server.asked)
        assert bench(server, "--run", run_dir) == 0
        assert len(server.asked) == asked
    run = load(run_dir)
    assert [model.id for model in run.models] == [B]
    assert (len(run.answers), len(run.photos)) == (7, 7)
    assert {answer.key.method for answer in run.answers} == {"rubric"}
    assert run.random_weights


def test_a_shortlist_is_compared_pair_by_pair_in_the_same_run(
    photos: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "mine"
    pairs = ("--method", "pairwise", "--shortlist", "4", "--pairs", "3")
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir) == 0
        assert bench(server, "--run", run_dir, *pairs) == 0
        asked = len(server.asked)
        assert bench(server, "--run", run_dir, *pairs) == 0
        assert len(server.asked) == asked
    run = load(run_dir)
    best = sorted({key[1] for key in expected_scores(run)}, key=lambda image: -int(image[:8], 16))
    paired = [answer for answer in run.answers if answer.key.method == "pairwise"]
    assert {answer.key.image_sha256 for answer in paired} == set(best[:4])
    assert Counter(answer.model for answer in paired) == dict.fromkeys(MODELS, 12)
    assert len(read_journal(run_dir, "shortlist")) == 1


def test_json_is_the_only_stdout_and_csv_is_written(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScoringServer() as server:
        assert bench(server, photos, "--json", "--export", "csv") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["summary"]["photos"] == 12
    assert [model["id"] for model in document["models"]] == list(MODELS)
    assert document["provenance"]["rubric_sha256"]
    (run_dir,) = runs(tmp_path)
    assert len((run_dir / "scores.csv").read_text().splitlines()) == 13


def test_report_needs_no_endpoint(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScoringServer() as server:
        assert bench(server, photos) == 0
    (run_dir,) = runs(tmp_path)
    (run_dir / "report.html").unlink()
    assert main(["bench", "report", str(run_dir), "--export", "csv"]) == 0
    assert (run_dir / "report.html").is_file()
    assert (run_dir / "scores.csv").is_file()
    assert fails(capsys, "report", tmp_path).startswith(f"error: {tmp_path} is not a run")


def test_the_key_and_the_address_come_from_the_environment_and_no_key_is_shown(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScoringServer(key="s3cret") as server:
        monkeypatch.setenv("LLAMA_SWAP_URL", server.url)
        line = fails(capsys, photos)
        assert "no model answered" in line
        assert "unauthorized" in line
        monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
        assert main(["bench", str(photos)]) == 0
    shown = capsys.readouterr()
    assert "s3cret" not in shown.out + shown.err
    for path in runs(tmp_path)[0].iterdir():
        assert path.is_dir() or b"s3cret" not in path.read_bytes()


def test_wrong_options_are_refused_before_any_question(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails(capsys, tmp_path / "gone") == (
        f"error: PHOTOS_DIR is '{tmp_path / 'gone'}'; expected a folder"
    )
    (tmp_path / "empty").mkdir()
    assert "contains no photos" in fails(capsys, tmp_path / "empty", "--url", "http://127.0.0.1:1")
    line = fails(capsys, photos, "--model", "gpt")
    assert line.startswith("error: --model is 'gpt'; ")
    assert f"{A}, {B}, {C}" in line
    assert "does not list models: cannot connect" in fails(
        capsys, photos, "--url", "http://127.0.0.1:1"
    )
    assert "outside the photo folder" in fails(capsys, photos, "--run", photos / "run")
    assert "not a run yet" in fails(capsys, "--run", tmp_path / "new")
    other_photos = photo_folder(tmp_path / "other", 2)
    with ScoringServer() as server:
        url = ("--url", server.url)
        assert bench(server, other_photos, "--run", tmp_path / "run") == 0
        assert f"expected '{other_photos}'" in fails(
            capsys, photos, "--run", tmp_path / "run", *url
        )
        assert "but no run" in fails(capsys, photos, "--run", other_photos, *url)
        asked = len(server.asked)
        rubric = tmp_path / "rubric.toml"
        rubric.write_text("labels = []")
        assert "the rubric" in fails(capsys, photos, "--rubric", rubric, *url)
        assert len(server.asked) == asked


def test_a_label_of_two_tokens_is_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rubric = tmp_path / "rubric.toml"
    labels = ", ".join(f'{{ label = "{number}" }}' for number in range(1, 11))
    default = (ROOT / "ops/commands/bench/asking/rubric.toml").read_text()
    rubric.write_text(re.sub(r"labels = \[.*?\n\]", f"labels = [{labels}]", default, flags=re.S))
    with ScoringServer(two_tokens=("10",)) as server:
        line = fails(capsys, photos, "--rubric", rubric, "--url", server.url)
    assert line.startswith(f"error: label '10' is 2 tokens of {A}; ")
    assert read_answers(runs(tmp_path)[0]) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--album", "best"),
        ("--immich", "http://photos"),
        ("PHOTOS", "--immich", "http://photos", "--album", "best"),
        ("PHOTOS", "--window", "30m", "--within", "30m"),
        ("PHOTOS", "--window", "soon"),
        ("PHOTOS", "--method", "guess"),
        ("PHOTOS", "--export", "xml"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: tuple[str, ...], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(photos) if word == "PHOTOS" else word for word in arguments]
    assert main(["bench", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_failed_model_is_named_at_the_end_and_the_others_are_reported(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScoringServer(faults={B: "http_5xx"}) as server:
        line = fails(capsys, photos, "--url", server.url)
    assert line.startswith(f"error: skipped {B}: it does not answer at all (http_5xx)")
    (run_dir,) = runs(tmp_path)
    assert (run_dir / "report.html").is_file()
    assert Counter(answer.model for answer in load(run_dir).answers) == {A: 12, C: 12}


def test_failed_questions_are_asked_again_only_with_retry_failed(
    photos: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, "--model", A) == 0
        first, second = (answer.key.image_sha256 for answer in read_answers(run_dir)[:2])
        server.faults = {f"{B} {first}": "http_5xx", f"{B} {second}": "invalid_answer"}
        assert bench(server, "--run", run_dir, "--model", B) == 0
        server.faults, asked = {}, len(server.asked)
        assert bench(server, "--run", run_dir) == 0
        assert len(server.asked) == asked
        assert bench(server, "--run", run_dir, "--retry-failed") == 0
    failures = [answer.failure for answer in load(run_dir).answers if answer.failure]
    assert failures == ["invalid_answer"]
    assert len(load(run_dir).answers) == 24


def test_unprepared_photos_are_prepared_by_the_runs_directory_alone(
    photos: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    with ScoringServer(models=()) as server:
        assert bench(server, photos, "--run", run_dir) == 1
        (run_dir / "photos.jsonl").unlink()
        server.models = MODELS
        assert bench(server, "--run", run_dir) == 0
    assert len(load(run_dir).answers) == 36


def test_a_window_gets_the_prepared_run_and_the_options(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[int, list[str]]] = []

    def in_window(window_s: int, arguments: Sequence[str], *, pool: str | None) -> int:
        assert pool is None
        opened.append((window_s, list(arguments)))
        assert read_answers(runs(tmp_path)[0]) == []
        assert len(load(runs(tmp_path)[0]).photos) == 12
        with ScoringServer() as server:
            monkeypatch.setenv("LLAMA_SWAP_URL", server.url)
            return main(list(arguments))

    monkeypatch.setattr(whole_run, "in_window", in_window)
    assert main(["bench", str(photos), "--window", "30m", "--model", B, "--export", "csv"]) == 0
    (run_dir,) = runs(tmp_path)
    ((window_s, arguments),) = opened
    assert window_s == 1800
    assert arguments[:6] == ["bench", "run", "--run", str(run_dir), "--within", "1770s"]
    assert Counter(answer.model for answer in load(run_dir).answers) == {B: 12}
    assert (run_dir / "scores.csv").is_file()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_a_run_between_two_answers_and_prints_how_to_resume(
    number: signal.Signals, code: int, photos: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    with ScoringServer(answer_s=0.05) as server:
        program = command(tmp_path, photos, "--run", run_dir, "--url", server.url)
        process = program.start()
        wait_for(server, 8)
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode == code
        log = " ".join(program.log.read_text().split())
        assert re.search(r"stopped; kept \d+ answers, resume with `\S+ -m ops bench", log)
        assert "Traceback" not in log
        assert bench(server, "--run", run_dir) == 0
    run = load(run_dir)
    assert scores(run) == pytest.approx(expected_scores(run))
    assert max(photo_questions(server, [key[1] for key in scores(run)]).values()) <= 2


def test_a_run_that_is_killed_again_and_again_has_every_answer_once(
    photos: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    draw = random.Random(7)
    kept: list[int] = []
    with ScoringServer() as server:
        program = command(tmp_path, photos, "--run", run_dir, "--url", server.url)
        for number in range(12):
            killed = replace(program, kill_at=draw.randint(1, 24), kill_after=number % 2 == 0)
            assert killed.finish() == -signal.SIGKILL, program.log.read_text()
            answers = read_answers(run_dir)
            assert len(answers) == len({answer.key for answer in answers})
            kept.append(len(answers))
        assert bench(server, "--run", run_dir) == 0
    assert kept == sorted(kept)
    assert kept[-1] < 36
    run = load(run_dir)
    assert scores(run) == pytest.approx(expected_scores(run))
    assert len(read_answers(run_dir)) == 36
    # Only a question in flight at a kill is asked twice.
    again = Counter(photo_questions(server, [key[1] for key in scores(run)]).values())
    assert sum(count - 1 for count in again.elements()) <= 12


def test_a_second_writer_is_refused_in_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    with ScoringServer(answer_s=0.1) as server:
        process = command(tmp_path, photos, "--run", run_dir, "--url", server.url).start()
        try:
            wait_for(server, 3)
            line = fails(capsys, "--run", run_dir, "--url", server.url)
        finally:
            process.terminate()
            process.join(60)
    assert line.startswith(f"error: another command writes to {run_dir}; ")


def test_control_characters_in_names_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photo_folder(tmp_path / "photos", 3)
    (folder / "000.jpg").rename(folder / "\x1b[31m<b>&\n[red]=1+1.jpg")
    with ScoringServer(faults={C: "invalid_answer"}) as server:
        main(["bench", str(folder), "--url", server.url, "--export", "csv"])
    shown = capsys.readouterr()
    assert "\x1b[31m" not in shown.out + shown.err
    (run_dir,) = runs(tmp_path)
    run = load(run_dir)
    assert any("<b>" in photo.name for photo in run.photos)
    assert len(run.answers) == 9


def test_help_has_an_example_and_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    assert "short for" in shown
    for name in ("run", "report", "publish", "undo"):
        assert f" {name} " in shown
    assert main(["bench", "run", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    for option in ("--immich", "--album", "--model", "--method", "--sample", "--rubric", "--url"):
        assert option in shown
    for option in ("--window", "--run", "--json", "--export", "--no-thumbnails", "--top-k"):
        assert option in shown
    assert "--in-window" not in shown
    assert main(["bench", "report", "--help"]) == 0
    assert "--judge-again" in capsys.readouterr().out
    assert "run" in {command.name or "run" for command in bench_cli.app.registered_commands}
