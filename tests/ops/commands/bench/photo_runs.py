"""Photos and runs of the photo benchmark, for tests."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from ops.cli import main
from ops.commands.bench.results import Run
from tests.fakes.scoring_server import ScoringServer, planted


def jpeg(number: int) -> bytes:
    """A JPEG; each number gives another."""
    content = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    Image.new("RGB", (64, 48), colour).save(content, "JPEG", quality=92)
    return content.getvalue()


def photo_folder(folder: Path, count: int) -> Path:
    """Write different photos."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:03}.jpg").write_bytes(jpeg(number))
    return folder


def scores(run: Run) -> dict[tuple[str, str, str], float | None]:
    """Model, image and order -> score, of all answers of a run."""
    return {
        (answer.model, answer.key.image_sha256, answer.key.order): answer.score
        for answer in run.answers
    }


def expected_scores(run: Run) -> dict[tuple[str, str, str], float]:
    """The scores that the scoring server gives, as `scores` returns them."""
    return {
        (model.id, photo.image_sha256, ""): planted(photo.image_sha256)
        for model in run.models
        for photo in run.photos
    }


def runs(tmp_path: Path) -> list[Path]:
    """The runs under bench-runs/."""
    return sorted((tmp_path / "bench-runs").iterdir())


def bench(server: ScoringServer, *arguments: str | Path) -> int:
    """Run `bench` against an endpoint; return its exit code."""
    return main(["bench", *map(str, arguments), "--url", server.url])


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a `bench` that has to fail; return its error line."""
    capsys.readouterr()
    assert main(["bench", *map(str, arguments)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def photo_questions(server: ScoringServer, images: Sequence[str]) -> Counter[tuple[str, str]]:
    """How often each model was asked about each photo."""
    return Counter((model, sent[-1]) for model, sent in server.asked if sent[-1] in images)
