"""The commands `publish` and `undo`: a model's best photos into Immich, and out again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands.bench.publish.record import Target, alone
from ops.commands.bench.results import Method
from ops.errors import OpsError
from ops.report.terminal import CONSOLE, say

if TYPE_CHECKING:
    from ops.commands.bench.results import Run
    from ops.immich.api import Immich

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
    method: Annotated[
        Method | None,
        typer.Option("--method", help="Whose scores; left out: the last one that was asked."),
    ] = None,
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
    from dataclasses import replace

    from ops.commands.bench.answers import load
    from ops.commands.bench.publish import planning, to_immich
    from ops.commands.bench.publish import text as publish_text
    from ops.commands.bench.publish.picks import best, check_scale
    from ops.commands.bench.statistics.scores import method_of

    run = load(run_dir)
    run = replace(run, method=method or run.method)
    picks = best(run.photos, _scores(run, model), top=top)
    if target == "rating":
        check_scale(run_dir, method_of(run))
    with alone(run_dir), _immich(immich) as server:
        planned = planning.plan(
            server,
            run_dir,
            picks,
            target=target,
            model=model,
            label=label,
            overwrite=overwrite,
        )
        publish_text.show_plan(CONSOLE, planned)
        if not apply or not (planned.changes or planned.resumed):
            say(publish_text.outlook(planned))
            return
        results = list(to_immich.publish(server, run_dir, planned))
    publish_text.show_refused(CONSOLE, results)
    say(publish_text.outcome(planned, results))


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
    from ops.commands.bench.publish import text as publish_text
    from ops.commands.bench.publish.undo import choose
    from ops.commands.bench.publish.undo import undo as take_back

    if not run_dir.is_dir():
        raise OpsError(f"{run_dir} is no run")
    with alone(run_dir), ExitStack() as stack:
        record = choose(run_dir, number)
        server = stack.enter_context(_immich(immich or record.server))
        publish_text.show_undone(CONSOLE, take_back(server, run_dir, record))
    say(f"took back publication {record.number} ({record.model} as {record.target})")


def _immich(url: str) -> Immich:
    from ops.immich.api import Immich
    from ops.immich.http import ImmichHttp, api_key

    return Immich(ImmichHttp(url, key=api_key()))


def _scores(run: Run, model: str) -> dict[str, float]:
    """Give one model's scores: image sha256 -> score."""
    from ops.commands.bench.statistics.scores import scores_of

    table = scores_of(run)
    ids = [each.id for each in table.models]
    if model not in ids:
        raise OpsError(f"--model is {model!r}; models of the run: {', '.join(ids) or 'none'}")
    values = table.values[ids.index(model)].tolist()
    return {
        photo.image_sha256: score
        for photo, score in zip(table.photos, values, strict=True)
        if score == score
    }
