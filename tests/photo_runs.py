"""Photos and runs of the photo benchmark, for tests: `python -m tests.photo_runs` is `ops bench`.

Where the parts that prepare photos, work out what a run says, or draw its report are not there,
small ones take their place.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from ops import cli
from ops.photo_bench import parts
from ops.photo_bench.results import Photo, Run
from ops.photo_bench.summary import Agreement, Summary, Verdict
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


def stand_in_for_missing_parts() -> None:
    """Let small functions take the place of parts that are not there."""
    if find_spec("ops.photo_bench.album.collect") is None:
        parts.collect = _collect  # type: ignore[assignment]
    if find_spec("ops.photo_bench.statistics.summarise") is None:
        parts.summarise = _summarise
    if find_spec("ops.photo_bench.report") is None:
        parts.render = lambda run, *_arguments, **_options: f"<p>{len(run.answers)} answers</p>"


def _collect(
    run_dir: Path, source: Any, _journal: Any, *, sample: int | None, seed: int, say: Any
) -> tuple[Photo, ...]:
    from ops.errors import OpsError
    from ops.photo_bench.answers import read_photos

    kept = read_photos(run_dir)
    if kept is not None:
        return kept
    (run_dir / "images").mkdir(exist_ok=True)
    photos = []
    for path in sorted(source.folder.glob("*.jpg")):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        (run_dir / "images" / f"{digest}.jpg").write_bytes(content)
        photos.append(Photo(image_sha256=digest, original_sha256=digest, name=path.name))
    if not photos:
        raise OpsError(f"{source.text} holds no photo")
    random.Random(seed).shuffle(photos)
    photos = photos[:sample]
    lines = [json.dumps(asdict(photo)) + "\n" for photo in photos]
    (run_dir / "photos.jsonl").write_text("".join(lines))
    say(f"{len(photos)} photos")
    return tuple(photos)


def _summarise(run: Run, *, top_k: int | None, seed: int) -> Summary:
    return Summary(
        verdict=Verdict(
            sentence="Not decided.",
            take=None,
            decided=False,
            equivalent=False,
            metric=None,
            more_photos=None,
            caveats=(),
        ),
        models=(),
        differences=(),
        agreement=Agreement(
            models=(),
            spearman=(),
            tau=(),
            top_k=(),
            icc_consistency=None,
            icc_agreement=None,
            alpha=None,
        ),
        photos=len(run.photos),
        common=0,
        favourites=None,
        rated=0,
        top_k=top_k or 1,
        margin=0.05,
        resamples=0,
        seed=seed,
    )


if __name__ == "__main__":
    stand_in_for_missing_parts()
    sys.exit(cli.main(["bench", *sys.argv[1:]]))
