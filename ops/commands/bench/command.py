"""The command `bench`: which model picks the owner's photos best, on the owner's own album."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from ops.commands.bench.publish import command as publishing
from ops.commands.bench.results import Method
from ops.errors import OpsError
from ops.options import OnlyModels, command_app, duration

URL_VARIABLE = "LLAMA_SWAP_URL"
"""Set by `ops window -- COMMAND`: the endpoint that it opened."""


class _Photos(TyperGroup):
    """`bench PHOTOS_DIR` is short for `bench run PHOTOS_DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command where only its arguments are."""
        is_named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_named else ["run", *args])


app = command_app(
    cls=_Photos,
    help="Which model picks your photos best: a report on your own album.\n\n"
    "`bench PHOTOS_DIR` is short for `bench run PHOTOS_DIR`.\n\n"
    "Example: `python -m ops bench ~/Pictures/2026 --sample 150 --window 30m`",
)


PhotosDir = Annotated[
    Path | None,
    typer.Argument(
        metavar="PHOTOS_DIR",
        help="A folder of photos; left out: --immich, or the photos of --run.",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option("--top-k", min=1, help="How many the owner would post; left out: a tenth."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results for a program.")]
Export = Annotated[
    Literal["csv"] | None,
    typer.Option("--export", help="Also write scores.csv into the run: one line a photo."),
]
Thumbnails = Annotated[
    bool | None,
    typer.Option(
        "--thumbnails/--no-thumbnails",
        help="Whether photos are in the report; left out: as before, at first yes.",
        show_default=False,
    ),
]


@app.command()
def run(
    photos_dir: PhotosDir = None,
    immich: Annotated[
        str | None,
        typer.Option("--immich", help="An Immich, http://host:2283; key in IMMICH_API_KEY."),
    ] = None,
    judgement: Annotated[
        Path | None,
        typer.Option(
            "--judgement",
            help="Your favourites or ratings, a CSV; left out: favourites.csv in "
            "the folder, where there is one.",
        ),
    ] = None,
    album: Annotated[str | None, typer.Option("--album", help="The name of its album.")] = None,
    model: OnlyModels = None,
    method: Annotated[
        Method | None,
        typer.Option(
            "--method",
            help="score: each photo, one token. rubric: one label a criterion. anchored: against "
            "a few fixed photos. pairwise: a shortlist, pair by pair. Left out: score, or that "
            "of --run.",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            min=2,
            help="Draw that many; half of them favourites where only those are known. With "
            "--run: that many together, drawn behind those that it has.",
        ),
    ] = None,
    rubric: Annotated[
        Path | None,
        typer.Option(
            "--rubric", help="What is asked; left out: ops/commands/bench/asking/rubric.toml."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            envvar=URL_VARIABLE,
            show_envvar=True,
            help="The endpoint, http://host:port; left out: by kubectl port-forward to the "
            "cluster of KUBE_CONFIG_PATH and KUBE_CTX.",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            parser=duration,
            metavar="DURATION",
            help="Take the GPU for that long, as `ops window` does, and ask no more than fits.",
        ),
    ] = None,
    within: Annotated[
        int | None,
        typer.Option(
            "--within",
            parser=duration,
            metavar="DURATION",
            help="Ask no more than fits into that time, without a window.",
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="The run's directory, new or to go on with; left out: bench-runs/NOW.",
        ),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a run, even where the last one is unfinished.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Also ask again what failed by no photo's fault: timeouts, broken connections, "
            "refusals by the server.",
        ),
    ] = False,
    as_json: AsJson = False,
    export: Export = None,
    thumbnails: Thumbnails = None,
    top_k: TopK = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of every draw; left out: 1, or that of --run.")
    ] = None,
    anchors: Annotated[
        int | None,
        typer.Option(
            "--anchors",
            min=1,
            max=8,
            help="Fixed photos of --method anchored; left out: 3, or as --run has it.",
        ),
    ] = None,
    shortlist: Annotated[
        int | None,
        typer.Option(
            "--shortlist",
            min=2,
            max=200,
            help="Photos of --method pairwise; left out: 20, or as --run has it.",
        ),
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(
            "--pairs",
            min=1,
            help="Pairs a photo of --method pairwise; left out: 5, or as --run has it.",
        ),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout-s", min=0.1, help="For one answer, a cold load included.")
    ] = 300,
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", help="The weights are stand-ins: say so everywhere."),
    ] = False,
    engine_build: Annotated[
        str | None,
        typer.Option(
            "--engine-build",
            help="The build of llama.cpp behind --url, kept with the results; left out: for the "
            "cluster, the one of stacks/production.py.",
        ),
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option("--lock", help="Left out: the repository's models.lock.json."),
    ] = None,
    in_window: Annotated[
        int | None, typer.Option("--in-window", parser=duration, hidden=True)
    ] = None,
) -> None:
    """Ask every model about the same photos, one model after the other, and write a report.

    Each answer is on the disk before the next question: the same command goes on where it was
    ended, and asks nothing twice. `bench report RUN` writes the report again without asking. The
    API key is read from LLAMA_API_KEY.

    Example: `python -m ops bench ~/Pictures/2026 --sample 150 --window 30m`
    """
    from ops.commands.bench.album.photos_from import PhotosFrom
    from ops.commands.bench.outputs import Wanted
    from ops.commands.bench.session import Settings
    from ops.immich.http import server_url

    if (immich is None) != (album is None):
        raise typer.BadParameter("--immich and --album go together")
    if photos_dir is not None and immich is not None:
        raise typer.BadParameter("PHOTOS_DIR and --immich exclude each other")
    if window is not None and (within is not None or url is not None):
        raise typer.BadParameter("--window excludes --within and --url")
    if judgement is not None and immich is not None:
        raise typer.BadParameter("--judgement goes with PHOTOS_DIR; Immich has its own favourites")
    source = PhotosFrom(
        folder=photos_dir,
        judgement=judgement,
        immich=None if immich is None else server_url(immich),
        album=album,
    )
    if photos_dir is None and immich is None and run_dir is None:
        raise typer.BadParameter("pass a folder of photos, --immich and --album, or --run")
    if photos_dir is not None and not photos_dir.is_dir():
        raise OpsError(f"PHOTOS_DIR is {str(photos_dir)!r}, which is no folder")
    from ops.commands.bench.evening import go
    from ops.commands.bench.typed import Evening
    from stacks.production import PRODUCTION

    chosen = {
        "method": method,
        "seed": seed,
        "anchors": anchors,
        "shortlist": shortlist,
        "pairs_per_photo": pairs,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    is_url_typed = url is not None and url != os.environ.get(URL_VARIABLE)
    if engine_build is None and url is None:
        engine_build = f"b{PRODUCTION.engine_build}"
    go(
        Evening(
            settings=Settings(
                source=source,
                models=tuple(dict.fromkeys(model or ())),
                sample=sample,
                random_weights=random_weights,
                lock=None if lock is None else str(lock.resolve()),
                **given,  # type: ignore[arg-type]
            ),
            given=frozenset(given) | ({"url"} if is_url_typed else set()),
            run_dir=run_dir,
            anew=new,
            retry_failed=retry_failed,
            rubric=rubric,
            url=url,
            engine_build=engine_build or None,
            window_s=window,
            in_window_s=in_window,
            within_s=within,
            timeout_s=timeout_s,
            outputs=Wanted(
                as_json=as_json,
                export_csv=export == "csv",
                thumbnails=thumbnails,
                top_k=top_k,
            ),
        )
    )


@app.command()
def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    method: Annotated[
        Method | None,
        typer.Option("--method", help="Whose answers; left out: the last one that was asked."),
    ] = None,
    judged: Annotated[
        bool,
        typer.Option(
            "--judge-again",
            help="Read your favourites and ratings again, from where the photos are.",
        ),
    ] = False,
    as_json: AsJson = False,
    export: Export = None,
    thumbnails: Thumbnails = None,
    top_k: TopK = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Of the intervals' draws; left out: that of the run."),
    ] = None,
) -> None:
    """Write a run's report again, without asking anything.

    Example: `python -m ops bench report bench-runs/2026-11-25-201500 --export csv`
    """
    from ops.commands.bench.outputs import Wanted, write_outputs

    if judged:
        from rich.console import Console

        from ops.commands.bench.asking.progress import Shown
        from ops.commands.bench.session import judge_again

        judge_again(run_dir, say=Shown(Console(stderr=True)).say)
    write_outputs(
        run_dir,
        Wanted(
            method=method,
            as_json=as_json,
            export_csv=export == "csv",
            thumbnails=thumbnails,
            top_k=top_k,
            seed=seed,
        ),
    )


app.command()(publishing.publish)
app.command()(publishing.undo)
