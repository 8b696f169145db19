"""The commands `publish` and `undo`: write a model's best photos to Immich, and restore it."""

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

RunDir = Annotated[
    Path, typer.Argument(metavar="RUN", help="Directory of the run.", show_default=False)
]


def publish(
    run_dir: RunDir,
    model: Annotated[
        str,
        typer.Option("--model", help="Publish the best photos of this model.", show_default=False),
    ],
    immich: Annotated[
        str,
        typer.Option(
            "--immich",
            help="Publish to the Immich at this address, http(s)://host:port.",
            show_default=False,
        ),
    ],
    target: Annotated[
        Target, typer.Option("--as", help="Publish as ratings, as a tag or as an album.")
    ] = "tag",
    top: Annotated[int, typer.Option("--top", min=1, help="Publish this many photos.")] = 20,
    label: Annotated[
        str,
        typer.Option(
            "--label",
            help="Use this path of a tag or name of an album (default: one with the model's id).",
            show_default=False,
        ),
    ] = "",
    method: Annotated[
        Method | None,
        typer.Option("--method", help="Use the scores of this method (default: the last asked)."),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="With --as rating: also replace ratings that you gave."),
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Apply the changes (default: only show them).")
    ] = False,
) -> None:
    """Publish a model's best photos in Immich; without --apply, only show the changes.

    The run records every value that is replaced, and `bench undo` restores them. Set
    IMMICH_API_KEY to a key that may write.

    Example: `python -m ops bench publish bench-runs/2026-11-25-201500 --model qwen3vl-8b
    --immich https://photos.example`
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
        typer.Option(
            "--number", min=1, help="Undo the publication of this number (default: the latest)."
        ),
    ] = None,
    immich: Annotated[
        str,
        typer.Option(
            "--immich",
            help="Reach Immich at this address, http(s)://host:port (default: the one published "
            "to).",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Undo a publication: restore ratings; delete its tag or album if it created them.

    What you changed since stays. Set IMMICH_API_KEY to a key that may write.

    Example: `python -m ops bench undo bench-runs/2026-11-25-201500`
    """
    from ops.commands.bench.publish import text as publish_text
    from ops.commands.bench.publish.undo import choose
    from ops.commands.bench.publish.undo import undo as take_back

    if not run_dir.is_dir():
        raise OpsError(f"{run_dir} is not a run")
    with alone(run_dir), ExitStack() as stack:
        record = choose(run_dir, number)
        server = stack.enter_context(_immich(immich or record.server))
        publish_text.show_undone(CONSOLE, take_back(server, run_dir, record))
    say(f"undid publication {record.number} ({record.model} as {record.target})")


def _immich(url: str) -> Immich:
    from ops.immich.api import Immich
    from ops.immich.http import ImmichHttp, api_key

    return Immich(ImmichHttp(url, key=api_key()))


def _scores(run: Run, model: str) -> dict[str, float]:
    """Return one model's scores: image sha256 -> score."""
    from ops.commands.bench.statistics.scores import scores_of

    table = scores_of(run)
    ids = [entry.id for entry in table.models]
    if model not in ids:
        raise OpsError(
            f"--model is {model!r}; expected a model of the run: {', '.join(ids) or 'none'}"
        )
    values = table.values[ids.index(model)].tolist()
    return {
        photo.image_sha256: score
        for photo, score in zip(table.photos, values, strict=True)
        if score == score
    }
