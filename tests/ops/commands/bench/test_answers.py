"""A run's directory: kept lines, torn lines, and one writer."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ops.commands.bench.answers import Journal, create, header_of, load, read_answers
from ops.commands.bench.jsonl import Appender, read_lines
from ops.commands.bench.results import Answer, Key, ModelRun, Photo
from ops.errors import OpsError

HOSTILE = 'a\nb\r\u2028<script>alert("x")</script>\x1b[31m=SUM(A1)\ud800.jpg'
KEY = Key(model_sha256="m", prompt_sha256="p", image_sha256="i", method="score")
ANSWER = Answer(key=KEY, model="qwen3vl-4b", score=3.5, labels={"3": -0.7, "4": -0.7}, raw="4")
MODEL = ModelRun(
    id="qwen3vl-4b", name="Qwen3-VL 4B", sha256="m", context=3072, quantisation="Q4_K_M"
)
HEADER = {"id": "r", "started_at": 1.0, "source": "photos", "settings": {}}


def answer(number: int) -> Answer:
    return replace(ANSWER, key=replace(KEY, image_sha256=f"image {number}"))


def session(journal: Journal, **changes: object) -> None:
    facts = {
        "at": 1.0,
        "method": "score",
        "prompt_sha256": "p",
        "prompt": {},
        "models": [asdict(MODEL)],
        "settings": {},
        "thumbnails": True,
        "provenance": {"command": "bench"},
    }
    journal.note("session", **(facts | changes))


def lock_elsewhere(run_dir: Path, connection: multiprocessing.connection.Connection) -> None:
    with Journal(run_dir):
        connection.send("locked")
        connection.recv()


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.answer(ANSWER)
        assert read_answers(tmp_path) == [ANSWER]
        assert journal.answered == {KEY}
    with Journal(tmp_path) as journal:
        assert journal.earlier == (ANSWER,)
        assert journal.answered == {KEY}


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_torn_last_line_is_dropped_and_overwritten(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(tmp_path) as journal:
        journal.answer(answer(1))
        whole = path.read_bytes()
        journal.answer(answer(2))
    content = path.read_bytes()
    path.write_bytes(content[: len(whole) + kept] if kept >= 0 else content[:kept])
    assert read_answers(tmp_path) == [answer(1)]
    with Journal(tmp_path) as journal:
        assert journal.answered == {answer(1).key}
        journal.answer(answer(3))
    assert read_answers(tmp_path) == [answer(1), answer(3)]
    assert path.read_bytes().startswith(whole)


def test_a_last_line_of_zeros_is_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(tmp_path) as journal:
        journal.answer(ANSWER)
    path.write_bytes(path.read_bytes() + b"\0" * 100 + b"\n")
    assert read_answers(tmp_path) == [ANSWER]
    with Journal(tmp_path) as journal:
        journal.answer(answer(2))
    assert read_answers(tmp_path) == [ANSWER, answer(2)]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"key": \n{}\n')
    with pytest.raises(OpsError, match=r"line 1 is not JSON"):
        read_lines(path)
    path.write_text('{"score": 1}\n')
    with pytest.raises(OpsError, match="a line that is not an answer"):
        read_answers(tmp_path)


def test_a_second_writer_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=lock_elsewhere, args=(tmp_path, theirs))
    process.start()
    try:
        assert ours.recv() == "locked"
        with pytest.raises(OpsError) as refused, Journal(tmp_path):
            pass
        assert str(refused.value).startswith(f"another command writes to {tmp_path}; ")
        assert load_is_possible(tmp_path)
    finally:
        ours.send("end")
        process.join(30)
    with Journal(tmp_path):
        pass


def load_is_possible(run_dir: Path) -> bool:
    return read_answers(run_dir) == []


def test_the_end_of_a_process_releases_its_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=lock_elsewhere, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == "locked"
    process.kill()
    process.join(30)
    with Journal(tmp_path) as journal:
        journal.answer(ANSWER)
    assert read_answers(tmp_path) == [ANSWER]


def test_each_line_is_on_disk_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    with Appender(tmp_path / "lines.jsonl") as appender:
        synced.clear()
        for number in range(3):
            appender.append({"n": number})
    assert synced == [8, 16, 24]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with Appender(tmp_path / "lines.jsonl") as appender:
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(OpsError, match=r"cannot be written \(No space left on device\)"):
            appender.append({"n": 1})


def test_a_failed_write_is_one_line_and_keeps_the_earlier_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from ops.errors import OpsError; from ops.commands.bench.jsonl import Appender\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))\n"
        "try:\n"
        "    with Appender(Path(sys.argv[1])) as appender:\n"
        "        for number in range(9): appender.append({'n': number})\n"
        "except OpsError as error: sys.exit(f'error: {error}')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert ended.stderr == f"error: {path} cannot be written (File too large)\n"
    assert read_lines(path) == [{"n": 0}, {"n": 1}]
    with Appender(path) as appender:
        appender.append({"n": 2})
    assert read_lines(path) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_run_has_the_answers_to_its_last_rubric_and_model_files(tmp_path: Path) -> None:
    create(tmp_path / "run", HEADER)
    run_dir = tmp_path / "run"
    photo = Photo(image_sha256="i", original_sha256="o", name=HOSTILE)
    (run_dir / "photos.jsonl").write_text(json.dumps(asdict(photo)) + "\n")
    with Journal(run_dir) as journal:
        session(journal, prompt_sha256="earlier")
        journal.answer(replace(ANSWER, key=replace(KEY, prompt_sha256="earlier"), score=1.0))
        journal.answer(replace(ANSWER, key=replace(KEY, model_sha256="earlier"), score=1.0))
        session(journal)
        load_of = {"model": MODEL.id, "model_sha256": "m", "cold": True, "at": 2.0}
        journal.note("load", **load_of, by="run", seconds=2.5, engine={"a": 1})
        journal.note("load", **load_of, by="others", seconds=None)
        journal.note("load", **load_of, by="run", seconds=9.0)
        journal.note("load", **(load_of | {"cold": False}), by="run", seconds=None)
        journal.note("load", **(load_of | {"model_sha256": "n"}), by="run", seconds=1.0)
        journal.answer(ANSWER)
    run = load(run_dir)
    assert run.answers == (ANSWER,)
    assert run.photos == (photo,)
    assert run.models == (replace(MODEL, loads=2, cold_load_s=2.5),)
    assert run.provenance["engines"] == {MODEL.id: {"a": 1}}
    assert not run.random_weights


def test_a_directory_that_is_no_run_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(OpsError, match=r"contains 'letter\.txt' but no run"):
        create(tmp_path, HEADER)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    assert header_of(tmp_path) is None
    with pytest.raises(OpsError, match="is not a run"):
        load(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(OpsError, match=r"run\.json cannot be read"):
        load(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(OpsError, match=r"run\.json was not written by `bench`"):
        load(tmp_path)
