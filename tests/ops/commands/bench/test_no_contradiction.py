"""Whatever a run contains, its report does not contradict itself, and each hint works."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from ops.cli import load
from ops.commands.bench.report.on_terminal import show
from ops.commands.bench.report.page import render
from ops.commands.bench.results import Loading, Run
from ops.commands.bench.statistics.summarise import summarise
from ops.commands.bench.summary import Summary
from ops.commands.bench.words import number
from tests.ops.commands.bench.planted_scores import planted_run

SEEDS = range(5)
NAME = r"Model [A-C]\b|\b[d-h]\b"


def _scores(random: np.random.Generator, photos: int, models: str = "abc") -> dict[str, Any]:
    liked = random.standard_normal(photos)
    noise = random.choice([0.1, 0.5, 1.0, 2.0, 6.0], len(models))
    return {
        model: 3 + liked + error * random.standard_normal(photos)
        for model, error in zip(models, noise, strict=True)
    }


def _favourites(random: np.random.Generator, photos: int) -> Any:
    return random.random(photos) < random.choice([0.05, 0.3, 0.5])


def _judged(random: np.random.Generator, photos: int, models: str = "abc") -> Run:
    scores = _scores(random, photos, models)
    # Any of them can be the best, not only the first.
    favourite = scores[random.choice(list(models))] + 0.5 * random.standard_normal(photos) > 3.5
    return planted_run(scores, favourite=favourite)


def few_ratings(random: np.random.Generator) -> Run:
    rated = random.integers(0, 31)
    rating = [int(value) for value in random.integers(1, 6, rated)] + [None] * int(30 - rated)
    return planted_run(_scores(random, 30), rating=rating[:30])


def no_judgement(random: np.random.Generator) -> Run:
    return planted_run(_scores(random, int(random.integers(1, 60))))


def few_photos(random: np.random.Generator) -> Run:
    photos = int(random.integers(1, 14))
    return planted_run(_scores(random, photos), favourite=_favourites(random, photos))


def ties(random: np.random.Generator) -> Run:
    scores = {model: np.round(own) for model, own in _scores(random, 80).items()}
    return planted_run(scores, favourite=_favourites(random, 80))


def all_equal(random: np.random.Generator) -> Run:
    one = _scores(random, 80, "a")["a"]
    return planted_run(dict.fromkeys("abc", one), favourite=one > 3.5)


def failures(random: np.random.Generator) -> Run:
    scores = _scores(random, 80)
    for model in scores:
        scores[model][random.random(80) < random.choice([0.0, 0.1, 0.4, 0.9, 1.0])] = np.nan
    return planted_run(scores, favourite=_favourites(random, 80))


def all_failed(random: np.random.Generator) -> Run:
    return planted_run({"a": [None] * 20, "b": [None] * 20}, favourite=_favourites(random, 20))


def constant(random: np.random.Generator) -> Run:
    return planted_run({"a": [3.0] * 60, "b": [3.0] * 60}, favourite=random.random(60) < 0.4)


def one_model(random: np.random.Generator) -> Run:
    return _judged(random, int(random.integers(5, 80)), "a")


def only_favourites(random: np.random.Generator) -> Run:
    return planted_run(_scores(random, 40), favourite=[True] * 40)


def many_models(random: np.random.Generator) -> Run:
    return _judged(random, 120, "abcdefgh")


def interrupted(random: np.random.Generator) -> Run:
    run = nearly_alike(random)
    stop = int(random.integers(0, len(run.answers)))
    return replace(run, answers=run.answers[:stop])


def ended_by_its_window(random: np.random.Generator) -> Run:
    run = nearly_alike(random)
    asked = {photo.image_sha256 for photo in run.photos[: random.integers(15, 60)]}
    answers = tuple(answer for answer in run.answers if answer.key.image_sha256 in asked)
    provenance = {"sample": 60, "album_photos": 60}
    return replace(run, answers=answers, provenance=provenance, reached_by=("--window", "30m"))


def nearly_alike(random: np.random.Generator) -> Run:
    liked = random.standard_normal(60)
    scores = {model: liked + 1.6 * random.standard_normal(60) for model in "abc"}
    run = planted_run(scores, favourite=liked > 0.5)
    return replace(run, provenance={"sample": 60, "album_photos": 300}, reached_by=("--url", "x"))


def evicted(random: np.random.Generator) -> Run:
    run = replace(_judged(random, 60), provenance={"sample": 60, "album_photos": 300})
    answers = tuple(
        replace(answer, cold=True, wall_s=40.0) if random.random() < 0.1 else answer
        for answer in run.answers
    )
    loading = Loading(loading_s=120.0, asking_s=900.0, in_window=True, loaded_already=("b",))
    models = tuple(replace(model, loads=3) for model in run.models)
    return replace(run, answers=answers, models=models, loading=loading)


def two_methods(random: np.random.Generator) -> Run:
    run = _judged(random, 40)
    rubric = tuple(
        replace(answer, key=replace(answer.key, method="rubric")) for answer in run.answers
    )
    return replace(run, answers=(*run.answers, *rubric))


def random_weights(random: np.random.Generator) -> Run:
    return replace(_judged(random, 80), random_weights=True)


def ratings_decide(random: np.random.Generator) -> Run:
    run = _judged(random, 90)
    photos = tuple(
        replace(photo, rating=int(random.integers(1, 6)), favourite=None) for photo in run.photos
    )
    return replace(run, photos=photos)


KINDS: tuple[Callable[[np.random.Generator], Run], ...] = (
    few_ratings,
    no_judgement,
    few_photos,
    ties,
    all_equal,
    failures,
    all_failed,
    constant,
    one_model,
    only_favourites,
    many_models,
    interrupted,
    ended_by_its_window,
    nearly_alike,
    evicted,
    two_methods,
    random_weights,
    ratings_decide,
)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_report_does_not_contradict_itself(
    kind: Callable[[np.random.Generator], Run], seed: int, tmp_path: Path
) -> None:
    run_dir = tmp_path / "a run"
    run_dir.mkdir()
    run = replace(kind(np.random.default_rng(seed)), run_dir=run_dir)
    summary = summarise(run, resamples=100)
    page = unescape(render(run, summary, tmp_path, thumbnails=False))
    screen = io.StringIO()
    show(Console(file=screen, width=100), summary)
    terminal = screen.getvalue()

    _check_headline(summary, page, terminal)
    _check_that_nothing_is_ranked_without_quality(summary, page, terminal)
    _check_figures(summary, terminal)
    hints = [step.command for step in summary.verdict.steps]
    on_page = re.findall(r'<pre class="command">(.*?)</pre>', page)
    on_terminal = re.findall(r"^  (\S+ -m ops .*)$", terminal, re.MULTILINE)
    assert on_page == on_terminal == hints
    for hint in hints:
        _check_hint(hint, run_dir)


def test_the_kinds_of_runs_reach_every_headline_and_every_hint() -> None:
    verdicts = [
        summarise(kind(np.random.default_rng(seed)), resamples=100).verdict
        for kind in KINDS
        for seed in SEEDS
    ]
    heads = {re.sub(NAME, "MODEL", verdict.headline) for verdict in verdicts}
    assert heads == {
        "Take MODEL",
        "Not decided",
        "Not decided: judge more photos",
        "None is known to beat chance",
        "Only MODEL was asked",
        "Only MODEL answered enough",
        "No model answered enough",
        "No verdict: the weights are random",
    }
    hints = [step.command for verdict in verdicts for step in verdict.steps]
    for options in ("--judge-again$", "--method score$", "--sample [0-9]+$", "--window 30m$"):
        assert any(re.search(options, hint) for hint in hints), options


def _check_headline(summary: Summary, page: str, terminal: str) -> None:
    verdict = summary.verdict
    assert f"<h1>{verdict.headline}</h1>" in page
    assert terminal.strip().splitlines()[0] == verdict.headline
    without_name = re.sub(NAME, "", verdict.headline)
    assert len(without_name.split()) <= 6
    taken = re.findall(r'<tr class="take">\s*<th [^>]*>(.*?)</th>', page)
    assert len(taken) == (verdict.take is not None)
    assert verdict.headline.startswith("Take ") is (verdict.take is not None)
    if verdict.take is not None:
        first = summary.models[0]
        assert (first.id, f"Take {first.name}") == (verdict.take, verdict.headline)
        assert f"<span>{first.name}</span>" in taken[0]
        assert _table(terminal).splitlines()[1].startswith(first.name)


def _table(terminal: str) -> str:
    heading = re.search(r"^Model {2,}\w.* Failed$", terminal, re.MULTILINE)
    assert heading is not None
    return terminal[heading.start() :]


def _check_that_nothing_is_ranked_without_quality(
    summary: Summary, page: str, terminal: str
) -> None:
    is_unknown = "Quality is not known" in terminal
    assert is_unknown is ("Quality is not known" in page)
    if summary.verdict.metric is None:
        assert summary.differences == ()
        assert all(not model.owner for model in summary.models)
        for shown in (page[page.index("<header>") : page.index('id="how-sure"')], terminal):
            assert not re.search(r"AUC|Spearman| leads | ranks your | agrees with ", shown)
        assert 'id="trade-off"' not in page
        assert 'id="differences"' not in page
    else:
        assert not is_unknown


def _check_figures(summary: Summary, terminal: str) -> None:
    figures = " ".join(summary.verdict.figures).replace("\u2212", "-")
    table = _table(terminal).replace("\u2212", "-")
    for model in summary.models:
        quality = model.owner.get(summary.verdict.metric) if summary.verdict.metric else None
        row, *_ = re.findall(rf"^{model.name} +(\S.*)$", table, re.MULTILINE)
        if quality is not None:
            assert row.startswith(number(quality.value).replace("\u2212", "-"))
        shown = rf"\b{model.name}(?: ranks your favourite above another photo)? in (\d+)"
        for pairs in re.findall(shown, figures):
            assert row.startswith(f"{int(pairs) / 100:.2f} ")
        shown = rf"\b{model.name}(?: agrees with your ratings)? by (-?\d\.\d\d)\b(?! to)"
        for agreement in re.findall(shown, figures):
            assert row.startswith(agreement)
        shown = rf"{model.name} (?:is the fastest|costs the least), (\S+ s) per photo"
        for time in re.findall(shown, figures):
            assert f"{time}" in row


def _check_hint(hint: str, run_dir: Path) -> None:
    words = shlex.split(hint)
    assert words[1:4] == ["-m", "ops", "bench"]
    group = load("bench")
    with group.make_context("bench", words[4:]) as context:
        name, command, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        parsed = command.make_context(name, rest, parent=context)
    assert parsed.params["run_dir"] == run_dir
    assert parsed.params["run_dir"].is_dir()


def test_the_check_of_hints_finds_a_wrong_one(tmp_path: Path) -> None:
    for wrong in ("bench report", "bench report RUN --judge", f"bench report {tmp_path} extra"):
        with pytest.raises(Exception, match=r"(?i)missing|no such option|unexpected"):
            _check_hint(f"python -m ops {wrong}", tmp_path)
