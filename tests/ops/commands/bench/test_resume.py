"""`bench` on an existing run: what it keeps, asks, and prints to resume."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops.cli import main
from ops.commands.bench import whole_run
from ops.commands.bench.answers import create, load, read_answers, read_journal
from ops.commands.bench.asking.rubric import DEFAULT_RUBRIC
from ops.errors import OpsError
from tests.fakes.immich_server import KEY, FakeAsset, immich_server
from tests.fakes.scoring_server import MODELS, ScoringServer
from tests.ops.commands.bench.photo_files import jpeg_photo
from tests.ops.commands.bench.photo_runs import bench, fails, photo_folder, photo_questions, runs

pytestmark = pytest.mark.usefixtures("bench_apart")

A, B, C = MODELS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos", 12)


def printed(text: str) -> list[str]:
    """The last printed command, as words after `python -m ops`."""
    line = " ".join(text.split())
    return shlex.split(re.findall(r"`\S+ -m ops (bench [^`]*)`", line)[-1])


def test_a_larger_sample_extends_a_run_and_repeats_no_question(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, "--sample", "5") == 0
        before = load(run_dir)
        assert bench(server, "--run", run_dir, "--sample", "9") == 0
        after = load(run_dir)
        images = [photo.image_sha256 for photo in after.photos]
        asked = photo_questions(server, images)
        line = fails(capsys, "--run", run_dir, "--sample", "4", "--url", server.url)
    assert after.photos[:5] == before.photos
    assert asked == {(model, image): 1 for model in MODELS for image in images}
    assert len(images) == 9
    assert "--sample is 4" in line
    assert "was started with 5 photos, and a run only grows" in line


def test_an_undecided_run_prints_the_command_for_more_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(60):
        (photos / f"{number:03}.jpg").write_bytes(jpeg_photo(number))
    rows = [f"{number:03}.jpg,{number % 5 + 1}" for number in range(60)]
    (photos / "favourites.csv").write_text("\n".join(["name,rating", *rows]))
    run_dir = tmp_path / "mine"
    models = ("--model", A, "--model", B)
    with ScoringServer() as server:
        server.scores = lambda model, image: 1 + int(image[model == A], 16) / 4
        assert bench(server, photos, "--run", run_dir, "--sample", "35", *models) == 0
    shown = capsys.readouterr().out
    assert f" -m ops bench --run {run_dir} --url {server.url} --sample 60\n" in shown


def test_the_printed_command_resumes_with_the_runs_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = photo_folder(tmp_path / "photos", 24)
    run_dir = tmp_path / "mine"
    options = ("--method", "anchored", "--anchors", "5", "--no-thumbnails", "--model", A)
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, "--within", "1h", "--model", A) == 0
        faults = [answer.key.image_sha256 for answer in read_answers(run_dir)[8:18]]
        server.faults = {image: "http_5xx" for image in faults}
        assert bench(server, "--run", run_dir, *options) == 1
        server.faults = {}
        words = printed(capsys.readouterr().err)
        assert "--retry-failed" in words
        assert main(words) == 0
    run = load(run_dir)
    asked = Counter(answer.key.image_sha256 for answer in run.answers if answer.key.order)
    assert set(asked.values()) == {5}
    assert len(asked) == 24
    assert run.method == "anchored"
    assert "data:image" not in (run_dir / "report.html").read_text()
    assert main(["bench", "report", str(run_dir)]) == 0
    assert "data:image" not in (run_dir / "report.html").read_text()
    assert main(["bench", "report", str(run_dir), "--thumbnails"]) == 0
    assert "data:image" in (run_dir / "report.html").read_text()


def test_a_run_that_a_short_window_ended_resumes_in_another_window(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_dir = tmp_path / "mine"

    def in_window(_window_s: int, arguments: Sequence[str], **_: object) -> int:
        with ScoringServer(faults={B: "http_5xx"}) as server:
            monkeypatch.setenv("LLAMA_SWAP_URL", server.url)
            return main(list(arguments))

    monkeypatch.setattr(whole_run, "in_window", in_window)
    assert main(["bench", str(photos), "--run", str(run_dir), "--window", "90m"]) == 1
    stderr = capsys.readouterr().err
    words = ["bench", "--run", str(run_dir), "--window", "1h30m", "--retry-failed"]
    assert printed(stderr) == words
    assert f"skipped {B}" in stderr
    assert stderr.rstrip().endswith("the command in the window failed; its error is above")
    run = load(run_dir)
    assert run.reached_by == ("--window", "1h30m")
    assert run.loading is not None
    assert run.loading.in_window


def test_a_run_without_a_written_report_is_unfinished(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with ScoringServer() as server:
        with monkeypatch.context() as patched:
            patched.setattr(whole_run, "write_outputs", killed)
            assert bench(server, photos) == 130
        asked = len(server.asked)
        assert bench(server, photos) == 0
        assert len(server.asked) == asked
    (run_dir,) = runs(tmp_path)
    assert (run_dir / "report.html").is_file()


def test_a_run_over_immich_resumes_without_immich(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "mine"
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    with ScoringServer() as server:
        with immich_server() as immich:
            assets = [
                immich.add(FakeAsset(f"{number}.jpg", jpeg_photo(number))) for number in range(5)
            ]
            immich.add_album("Best", *assets)
            typed = ("--immich", f"{immich.url}/api/", "--album", "Best", "--run", run_dir)
            assert bench(server, *typed, "--model", A) == 0
            again = ("--immich", immich.url, "--album", "Best", "--run", run_dir)
            assert bench(server, *again) == 0
        monkeypatch.delenv("IMMICH_API_KEY")
        assert bench(server, "--run", run_dir, "--model", B) == 0
    assert Counter(answer.model for answer in load(run_dir).answers) == {A: 5, B: 5}


def test_options_that_a_run_has_fixed_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    judgement = tmp_path / "mine.csv"
    judgement.write_text("name\n000.jpg\n")
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, "--seed", "3") == 0
        url = ("--url", server.url)
        line = fails(capsys, "--run", run_dir, "--judgement", judgement, *url)
        assert f"--judgement is '{judgement}'; expected none" in line
        assert "--judge-again" in line
        line = fails(capsys, "--run", run_dir, "--seed", "4", *url)
        assert "--seed is 4; expected 3" in line
        assert "only grows" in fails(capsys, "--run", run_dir, "--sample", "4", *url)
        assert bench(server, "--run", run_dir, "--seed", "3") == 0


def test_the_report_shows_the_last_method(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"

    def method_of_report(*arguments: str | Path) -> str:
        capsys.readouterr()
        with ScoringServer() as server:
            assert bench(server, "--run", run_dir, *arguments, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        return str(document["method"])

    assert method_of_report(photos) == "score"
    assert method_of_report("--method", "pairwise", "--shortlist", "4") == "pairwise"
    assert method_of_report("--method", "score") == "score"
    assert main(["bench", "report", str(run_dir), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "score"


def test_a_report_repeats_only_the_commands_that_asked_something_new(
    photos: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "mine"
    rubric = ("--method", "rubric", "--model", A)
    with ScoringServer(key="s3cret") as server:
        assert main(["bench", "--run", str(run_dir), str(photos), "--url", server.url]) == 1
        server.key = ""
        assert bench(server, "--run", run_dir) == 0
        assert bench(server, "--run", run_dir, *rubric) == 0
        assert bench(server, "--run", run_dir, *rubric) == 0
    assert len(read_journal(run_dir, "session")) == 4
    assert len(load(run_dir).provenance["command"].splitlines()) == 2
    assert "Commands that repeat the run, one after" in (run_dir / "report.html").read_text()


def test_a_newer_judgement_is_used_without_new_questions(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScoringServer() as server:
        assert bench(server, photos) == 0
    (run_dir,) = runs(tmp_path)
    before = load(run_dir)
    assert {photo.favourite for photo in before.photos} == {None}
    (photos / "favourites.csv").write_text("name,favourite,rating\n003.jpg,1,5\n004.jpg,0,2\n")
    (photos / "005.jpg").unlink()
    capsys.readouterr()
    assert main(["bench", "report", str(run_dir), "--judge-again", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["summary"]["favourites"] == 1
    assert "judgement changed for 11 of 12 photos" in shown.err
    assert "read again after the models had answered" in (run_dir / "report.html").read_text()
    after = load(run_dir)
    judged = {photo.name: (photo.favourite, photo.rating) for photo in after.photos}
    assert judged["003.jpg"] == (True, 5)
    assert judged["004.jpg"] == (False, 2)
    assert judged["005.jpg"] == (None, None)
    assert [photo.image_sha256 for photo in after.photos] == [
        photo.image_sha256 for photo in before.photos
    ]
    assert len(after.provenance["judged_again_at"]) == 1
    assert after.answers == before.answers


def test_a_password_in_an_option_is_not_kept(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    immich = ("--immich", "http://me:GEHEIM@photos", "--album", "Best")
    assert "contains a login" in fails(capsys, *immich, "--run", tmp_path / "one")
    url = ("--url", "http://me:GEHEIM@127.0.0.1:1")
    assert "contains a login" in fails(capsys, photos, *url, "--run", tmp_path / "two")
    assert not (tmp_path / "one").exists()
    assert not (tmp_path / "two").exists()


def test_a_key_in_the_endpoints_answer_is_redacted(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret-and-long")
    with ScoringServer(key="s3cret-and-long") as server:
        assert bench(server, photos, "--run", tmp_path / "run", "--model", A) == 0
        server.faults = {f"{B} {answer.key.image_sha256}": "key" for answer in
                         read_answers(tmp_path / "run")[2:]}  # fmt: skip
        assert bench(server, "--run", tmp_path / "run", "--export", "csv", "--model", B) == 1
    shown = capsys.readouterr()
    failed = [answer for answer in read_answers(tmp_path / "run") if answer.failure]
    assert len(failed) == 10
    raw = 'status 400: {"error": "no such thing as [redacted]"}'
    assert {answer.raw for answer in failed} == {raw}
    assert "s3cret" not in shown.out + shown.err
    for path in (tmp_path / "run").iterdir():
        assert path.is_dir() or b"s3cret" not in path.read_bytes()


def test_two_commands_at_once_begin_one_run(tmp_path: Path) -> None:
    from ops.commands.bench.jsonl import Appender

    header = {"id": "r", "started_at": 1.0, "source": "photos", "settings": {}}
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with Appender(run_dir / "journal.jsonl"), pytest.raises(OpsError, match="another command"):
        create(run_dir, header)
    (run_dir / ".run.json.123").write_text("{")
    create(run_dir, header)
    with pytest.raises(OpsError, match="but no run"):
        create(run_dir, header)


def test_a_directory_that_is_no_run_is_ignored_among_the_runs(
    photos: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "bench-runs" / "foreign"
    foreign.mkdir(parents=True)
    (foreign / "run.json").write_text("[1]")
    with ScoringServer() as server:
        assert bench(server, photos) == 0


def test_no_time_for_a_first_answer_is_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    with ScoringServer(load_s=1.5) as server:
        line = fails(capsys, photos, "--run", run_dir, "--within", "1s", "--url", server.url)
    why = "error: no model answered: time was up before the first answer. Resume with `"
    assert line.startswith(why)
    assert line.endswith(f" -m ops bench --run {run_dir} --within 1s --url {server.url}`.")


def test_publish_uses_the_scores_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    with ScoringServer() as server, immich_server() as immich:
        photos = [immich.add(FakeAsset(f"{n}.jpg", jpeg_photo(n))) for n in range(6)]
        immich.add_album("Best", *photos)
        typed = ("--immich", immich.url, "--album", "Best", "--run", run_dir, "--model", A)
        assert bench(server, *typed) == 0
        assert bench(server, "--run", run_dir, "--method", "pairwise") == 0
        assert bench(server, "--run", run_dir, "--method", "score") == 0
        capsys.readouterr()
        words = ("--model", A, "--immich", immich.url, "--as", "rating", "--top", "1")
        assert main(["bench", "publish", str(run_dir), *words]) == 0
    best = max(
        answer.score or 0 for answer in read_answers(run_dir) if answer.key.method == "score"
    )
    assert f"{best:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize("marked", ["000.jpg", "zz.jpg"])
def test_an_unchanged_judgement_is_kept(
    photos: Path, tmp_path: Path, marked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (photos / "000.jpg").read_bytes()
    # The same pixels in another file: one photo of the run.
    (photos / "zz.jpg").write_bytes(content[:2] + b"\xff\xfe\x00\x06abcd" + content[2:])
    (photos / "favourites.csv").write_text(f"name\n{marked}\n002.jpg\n")
    with ScoringServer() as server:
        assert bench(server, photos, "--model", A) == 0
    (run_dir,) = runs(tmp_path)
    before = load(run_dir).photos
    assert sum(photo.favourite is True for photo in before) == 2
    # An equal file that is listed before the run's file changes nothing either.
    (photos / "001-a.jpg").write_bytes((photos / "002.jpg").read_bytes())
    assert main(["bench", "report", str(run_dir), "--judge-again"]) == 0
    assert load(run_dir).photos == before
    assert "changed for 0 of 12 photos" in capsys.readouterr().err


def test_a_newer_judgement_updates_the_share_of_favourites(tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos", 20)
    names = [f"{number:03}.jpg" for number in range(20)]
    (photos / "favourites.csv").write_text("\n".join(["name", *names[:2]]))
    with ScoringServer() as server:
        assert bench(server, photos, "--model", A, "--sample", "8") == 0
    (run_dir,) = runs(tmp_path)
    assert load(run_dir).provenance["favourite_share"] == 0.1
    (photos / "favourites.csv").write_text("\n".join(["name", *names[:10]]))
    assert main(["bench", "report", str(run_dir), "--judge-again"]) == 0
    assert load(run_dir).provenance["favourite_share"] == 0.5


def test_a_larger_sample_keeps_the_shortlist(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    pairs = ("--method", "pairwise", "--shortlist", "4", "--model", A)
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, "--sample", "6", *pairs) == 0
        line = fails(capsys, "--run", run_dir, "--sample", "9", "--url", server.url)
        assert bench(server, "--run", run_dir, "--sample", "9", "--method", "score") == 0
    assert "--sample is 9, but --method pairwise asks about a shortlist" in line
    assert len(load(run_dir).photos) == 9


def test_a_new_rubric_without_time_for_an_answer_is_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    rubric = tmp_path / "rubric.toml"
    rubric.write_text(DEFAULT_RUBRIC.read_text().replace("photo", "picture"))
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, "--model", A) == 0
    options = ("--run", run_dir, "--rubric", rubric, "--within", "1s")
    with ScoringServer(load_s=1.5) as server:
        line = fails(capsys, *options, "--url", server.url)
    assert line.startswith("error: no model answered: time was up before the first answer. Resume")


def test_the_engines_build_is_kept_with_its_address(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    build = ("--engine-build", "b1234")
    with ScoringServer(faults={B: "http_5xx"}) as server:
        assert bench(server, photos, "--run", run_dir, "--model", A, "--model", B, *build) == 1
        server.faults = {}
        assert main(printed(capsys.readouterr().err)) == 0
    assert load(run_dir).provenance["engine_build"] == "b1234"


def test_the_intervals_use_the_runs_seed(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    with ScoringServer() as server:
        url = ["--url", server.url, "--model", A, "--json"]
        for words in (
            ["bench", str(photos), "--run", str(run_dir), "--seed", "0", *url],
            ["bench", "--run", str(run_dir), *url],
            ["bench", "report", str(run_dir), "--json"],
        ):
            capsys.readouterr()
            assert main(words) == 0
            assert json.loads(capsys.readouterr().out)["summary"]["seed"] == 0
