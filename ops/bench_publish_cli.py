"""The commands `publish` and `undo`: a model's best photos into Immich, and out again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ops.errors import OpsError
from ops.photo_bench.publish.record import Target
from ops.terminal import CONSOLE, say

if TYPE_CHECKING:
    from ops.photo_bench.immich.api import Immich

# Not pairwise: its answers are about two photos, and a score comes of all of them together.
_Method = Literal["score", "rubric", "anchored"]

RunDir = Annotated[Path, typer.Argument(help="The run's directory.", show_default=False)]


def publish(
    run_dir: RunDir,
    model: Annotated[str, typer.Option("--model", help="Whose choice.", show_default=False)],
    immich: Annotated[
        str, typer.Option("--immich", help="Immich, http(s)://host.", show_default=False)
    ],
    target: Annotated[
        Target, typer.Option("--as", help="As ratings, as a tag, or as an album.")
    ] = "tag",
    top: Annotated[int, typer.Option("--top", min=1, help="How many of its best.")] = 20,
    label: Annotated[
        str,
        typer.Option(
            "--label",
            help="The tag's path or the album's name; left out: one with the model's id.",
            show_default=False,
        ),
    ] = "",
    method: Annotated[_Method, typer.Option("--method", help="Whose scores.")] = "score",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also change ratings that you gave.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; left out: only show what would change.")
    ] = False,
) -> None:
    """Show what would change in Immich, and change it with --apply; `undo` takes it back.

    The key is read from IMMICH_API_KEY. What was there before is written into the run's
    directory first.

    Example: `python -m ops bench publish RUN --model qwen3vl-8b --immich https://photos.example`
    """
    from ops.photo_bench.album.collect import read_photos
    from ops.photo_bench.publish.to_immich import text as publish_text
    from ops.photo_bench.publish.to_immich import to_immich as to_immich

    picks = to_immich.best(read_photos(run_dir), _scores(run_dir, model, method), top=top)
    with _immich(immich) as server:
        planned = to_immich.plan(
            server,
            run_dir,
            picks,
            target=target,
            model=model,
            label=label,
            overwrite=overwrite,
        )
        publish_text.show_plan(CONSOLE, planned)
        if not planned.record.entries:
            say("nothing to change")
            return
        if not apply:
            say("nothing is changed yet; --apply does it")
            return
        results = list(to_immich.publish(server, run_dir, planned))
    publish_text.show_refused(CONSOLE, results)
    changed = sum(not why for _, why in results)
    say(f"changed {changed} photos; `undo` takes it back")


def undo(
    run_dir: RunDir,
    number: Annotated[
        int | None,
        typer.Option("--number", min=1, help="Which publication; left out: the latest."),
    ] = None,
    immich: Annotated[
        str,
        typer.Option("--immich", help="Immich, where it has moved since.", show_default=False),
    ] = "",
) -> None:
    """Take a publication back: ratings as they were, tag or album gone if it was made for it.

    What you changed since stays as it is. The key is read from IMMICH_API_KEY.

    Example: `python -m ops bench undo RUN`
    """
    from ops.photo_bench.publish.to_immich import text as publish_text
    from ops.photo_bench.publish.undo import choose
    from ops.photo_bench.publish.undo import undo as take_back

    record = choose(run_dir, number)
    with _immich(immich or record.server) as server:
        publish_text.show_undone(CONSOLE, take_back(server, run_dir, record))
    say(f"took back publication {record.number} ({record.model} as {record.target})")


@contextmanager
def _immich(url: str) -> Iterator[Immich]:
    from ops.photo_bench.immich.api import Immich
    from ops.photo_bench.immich.http import ImmichHttp, api_key

    with Immich(ImmichHttp(url, key=api_key())) as server:
        yield server


def _scores(run_dir: Path, model: str, method: _Method) -> dict[str, float]:
    """Read one model's scores: image sha256 -> score, the mean where there are several anchors."""
    path = run_dir / "answers.jsonl"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OpsError(f"{path} cannot be read ({error.strerror}); is {run_dir} a run?") from error
    found: dict[str, dict[str, float]] = defaultdict(dict)
    models: set[str] = set()
    # A line that is being written has no end yet.
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            answer = json.loads(line)
            models.add(answer["model"])
            key = answer["key"]
            if (answer["model"], key["method"]) == (model, method) and answer["score"] is not None:
                found[key["image_sha256"]][key.get("order", "")] = float(answer["score"])
        except (ValueError, TypeError, KeyError) as error:
            raise OpsError(f"{path} line {number} is no answer ({error})") from error
    if model not in models:
        there = ", ".join(sorted(models)) or "none"
        raise OpsError(f"--model is {model!r}; models of the run: {there}")
    return {image: fmean(scores.values()) for image, scores in found.items()}
