"""Sample pictures with their planted judgement, and the progress display."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from ops.commands.bench.album.sample_pictures import write_sample_pictures
from ops.commands.bench.asking.progress import Display
from tests.fakes.scoring_server import Clock


def test_each_ladder_step_has_a_worse_rating(tmp_path: Path) -> None:
    assert write_sample_pictures(tmp_path, most=60) == 60
    with (tmp_path / "favourites.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {path.name for path in tmp_path.glob("*.jpg")}
    for row in rows:
        step = row["name"].removesuffix(".jpg").rpartition("-")[2]
        assert int(row["rating"]) == 5 - (int(step) if step.isdigit() else 0)
        assert (row["favourite"] == "yes") == (int(row["rating"]) >= 4)
    ratings = Counter(row["rating"] for row in rows)
    assert ratings == {"5": 6, "4": 18, "3": 18, "2": 18}


def test_each_ladder_has_the_defect_of_its_name(tmp_path: Path) -> None:
    write_sample_pictures(tmp_path, most=60)

    def brightness(name: str) -> float:
        with Image.open(tmp_path / f"{name}.jpg") as picture:
            return float(np.asarray(picture.convert("L")).mean())

    darker = [
        brightness(name) for name in ("coffee", *(f"coffee-darkened-{n}" for n in (1, 2, 3)))
    ]
    assert darker == sorted(darker, reverse=True)
    brighter = [
        brightness(name) for name in ("coffee", *(f"coffee-over-exposed-{n}" for n in (1, 2, 3)))
    ]
    assert brighter == sorted(brighter)


def test_sample_pictures_are_deterministic(tmp_path: Path) -> None:
    for name in ("first", "again"):
        write_sample_pictures(tmp_path / name, most=20)
    first, again = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("first", "again")
    )
    assert first == again


def test_progress_on_a_pipe_is_a_line_with_pace_and_remaining_time() -> None:
    clock, text = Clock(), io.StringIO()
    with Display(Console(file=text, width=120), clock=clock) as display:
        display.begin("qwen3vl-4b", "photos", done=0, total=100)
        for _ in range(40):
            clock.sleep(2)
            display.answered()
    lines = text.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[-1] == "- qwen3vl-4b: 40 of 100, 30.0 photos a minute, 2 min 00 s left"


def test_progress_on_a_terminal_is_a_bar_of_one_line() -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True)
    clock = Clock()
    with Display(console, clock=clock) as display:
        display.begin("qwen3vl-4b", "photos", done=10, total=100)
        for _ in range(4):
            clock.sleep(2)
            display.answered()
        display.say("name [red]\x1b[31m")
    shown_text = re.sub(r"\x1b\[(0|32)m", "", text.getvalue())
    assert "14/100 30.0 photos a minute, 2 min 52 s left" in shown_text
    assert "name [red]?[31m" in shown_text
