"""The commands `publish` and `undo`, and what they print."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ops.commands.bench.answers import Journal, create
from ops.commands.bench.command import app
from ops.commands.bench.publish import text as publish_text
from ops.commands.bench.publish.record import Target, alone, read_records
from ops.commands.bench.results import Answer, Key, Method, ModelRun, Photo
from ops.errors import OpsError
from tests.fakes.immich_server import KEY, Fault
from tests.ops.commands.bench.immich_world import (
    MODEL,
    SCORES,
    WHERE,
    World,
    interrupt,
)


def shown(show: Callable[[Console], None]) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        show(console)
    return capture.get()


def test_the_dry_run_shows_each_photo_before_and_after(newest: World) -> None:
    newest.picks = (
        dataclasses.replace(newest.picks[0], name="[red]a\nb\x1b[31m.jpg"),
        *newest.picks[1:],
    )
    text = shown(lambda console: publish_text.show_plan(console, newest.plan("rating")))
    assert "[red]a b?[31m.jpg" in text
    assert "\x1b" not in text
    row = next(line for line in text.splitlines() if "[red]a" in line)
    assert "unrated" in row
    assert "5 stars" in row
    assert "keeps your -1" in text
    assert f"tag ai/best/{MODEL}" in shown(
        lambda console: publish_text.show_plan(console, newest.plan("tag"))
    )


def _answered(model: str, number: int, score: float, method: Method, order: str = "") -> Answer:
    key = Key(
        model_sha256=f"sha256 of {model}",
        prompt_sha256=method,
        image_sha256=f"{number}",
        method=method,
        order=order,
    )
    return Answer(key=key, model=model, score=score)


def _ask(
    run_dir: Path,
    method: Method,
    answers: Sequence[Answer],
    *,
    scale: Sequence[float] = (1, 2, 3, 4, 5),
) -> None:
    """Add a session with these answers, by a rubric of this scale."""
    models = [
        ModelRun(id=model, name=model, sha256=f"sha256 of {model}", context=1, quantisation="F32")
        for model in ("other", MODEL)
    ]
    with Journal(run_dir) as journal:
        journal.note(
            "session",
            at=1.0,
            method=method,
            prompt_sha256=method,
            prompt={},
            models=[dataclasses.asdict(model) for model in models],
            settings={},
            thumbnails=True,
            provenance={
                "command": "bench",
                "rubric": {"labels": [{"value": value} for value in scale]},
            },
        )
        for answer in answers:
            journal.answer(answer)


@pytest.fixture
def run_of(newest: World, tmp_path: Path) -> Path:
    """A run whose two models score the photos of Immich in opposite order."""
    run_dir = tmp_path / "run of models"
    create(run_dir, {"id": "r", "started_at": 1.0, "source": "album", "settings": {}})
    answers = []
    with (run_dir / "photos.jsonl").open("w") as photos:
        for number, (asset, score) in enumerate(zip(newest.assets, SCORES, strict=True)):
            photo = Photo(
                image_sha256=f"{number}", original_sha256="", name=asset.name, asset_id=asset.id
            )
            photos.write(json.dumps(dataclasses.asdict(photo)) + "\n")
            answers.append(_answered(MODEL, number, score, "score"))
            answers.append(_answered("other", number, 6 - score, "score"))
    _ask(run_dir, "score", answers)
    with (run_dir / "answers.jsonl").open("a") as torn:
        torn.write('{"mod')
    return run_dir


def command(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_plan_publish_and_undo(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    before = newest.state()
    publishing = ("publish", run_of, "--model", MODEL, "--immich", newest.server.url, "--top", 2)
    command(*publishing)
    assert newest.state() == before
    command(*publishing, "--apply")
    assert [bool(newest.server.tags_of(asset)) for asset in newest.assets] == [True] * 2 + [
        False
    ] * 3
    command("undo", run_of)
    assert newest.state() == before
    with pytest.raises(
        OpsError, match=r"--model is 'x'; expected a model of the run: other, qwen3vl-8b"
    ):
        command("publish", run_of, "--model", "x", "--immich", newest.server.url)


def test_a_photo_with_several_anchors_has_the_mean_score(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    logits = ((3.0, 3.0), (5.0, 0.6), (4.0, 4.0))
    _ask(
        run_of,
        "anchored",
        [
            _answered(MODEL, number, logit, "anchored", f"1:{anchor}")
            for number, of_photo in enumerate(logits)
            for anchor, logit in enumerate(of_photo)
        ],
    )
    options = ("--model", MODEL, "--immich", newest.server.url)
    command("publish", run_of, *options, "--top", 2, "--apply")
    tagged = [asset.name for asset in newest.assets if newest.server.tags_of(asset)]
    assert tagged == ["0.jpg", "2.jpg"]
    with pytest.raises(OpsError, match="the scores of --method anchored are not on a scale"):
        command("publish", run_of, *options, "--as", "rating")
    assert "5 stars" in command("publish", run_of, *options, "--as", "rating", "--method", "score")


@pytest.mark.parametrize("scale", [(1, 2, 3), (0.1, 1.2, 4.5), (0, 5), (-1, 1, 5), (1, 10)])
def test_scores_of_a_rubric_with_another_scale_are_no_ratings(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch, scale: Sequence[float]
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    answers = [_answered(MODEL, number, 2.0, "rubric") for number in range(5)]
    _ask(run_of, "rubric", answers, scale=scale)
    options = ("publish", run_of, "--model", MODEL, "--immich", newest.server.url, "--as")
    with pytest.raises(OpsError) as error:
        command(*options, "rating")
    assert f"labels are {scale[0]:g} to {scale[-1]:g}; expected 1 to 5" in str(error.value)
    assert "2.00" in command(*options, "tag")
    # Each method has the rubric of its last session.
    assert "5 stars" in command(*options, "rating", "--method", "score")
    _ask(run_of, "rubric", answers, scale=(1, 2.5, 5))
    assert "2 stars" in command(*options, "rating")


def test_the_dry_run_of_interrupted_ratings_shows_their_state(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    options = ("--model", MODEL, "--immich", newest.server.url, "--as", "rating")
    publishing = ("publish", run_of, *options)
    assert "nothing is changed yet" in command(*publishing)
    newest.server.faults = [
        Fault("PUT /assets", 200, body=b"[]", after=True),
        Fault("PUT /assets", 400),
    ]
    with pytest.raises(OpsError):
        command(*publishing, "--apply")
    newest.assets[4].rating = 2
    state = newest.state()
    text = command(*publishing)
    rows = {line.split()[1]: line for line in text.splitlines() if ".jpg" in line}
    assert "5 stars" in rows["0.jpg"]
    assert "already written" in rows["0.jpg"]
    assert "unrated" in rows["2.jpg"]
    assert "3 stars" in rows["2.jpg"]
    assert "unchanged" in rows["4.jpg"]
    assert "publication 1 was interrupted: 1 written, 1 to write, 1 unchanged" in " ".join(
        text.split()
    )
    assert newest.state() == state
    assert "changed 1 more photos" in command(*publishing, "--apply")
    assert [asset.rating for asset in newest.assets] == [5, 4, 3, -1, 2]


@pytest.mark.parametrize("target", ["tag", "album"])
def test_the_dry_run_shows_photos_that_are_tagged_or_in_the_album(
    newest: World, target: Target
) -> None:
    interrupt(newest, WHERE[target][1], skip=0, after=True)
    with pytest.raises(OpsError):
        newest.publish(target)
    newest.server.faults = []
    planned = newest.plan(target)
    assert (len(planned.written), planned.changes) == (5, ())
    assert shown(lambda console: publish_text.show_plan(console, planned)).count("written") == 5
    assert newest.publish(target) == {}
    assert [record.state for record in read_records(newest.run_dir)] == ["done"]


def test_a_second_publication_at_once_is_refused(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    with alone(run_of):
        for arguments in (
            ("publish", run_of, "--model", MODEL, "--immich", newest.server.url, "--apply"),
            ("undo", run_of),
        ):
            with pytest.raises(OpsError, match="another `publish` or `undo` of"):
                command(*arguments)
    assert not any(map(newest.server.tags_of, newest.assets))
