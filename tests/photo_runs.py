"""Photos and runs of the photo benchmark, for tests."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from ops.photo_bench.results import Run
from tests.scoring_server import planted


def jpeg(number: int) -> bytes:
    """A photo of its own for each number."""
    content = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    Image.new("RGB", (64, 48), colour).save(content, "JPEG", quality=92)
    return content.getvalue()


def photo_folder(folder: Path, count: int) -> Path:
    """Write photos that differ."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:03}.jpg").write_bytes(jpeg(number))
    return folder


def scores(run: Run) -> dict[tuple[str, str, str], float | None]:
    """Model, image and order -> score, of all answers of a run."""
    return {
        (each.model, each.key.image_sha256, each.key.order): each.score for each in run.answers
    }


def expected_scores(run: Run) -> dict[tuple[str, str, str], float]:
    """The same, as the scoring server plants them."""
    return {
        (model.id, photo.image_sha256, ""): planted(photo.image_sha256)
        for model in run.models
        for photo in run.photos
    }
