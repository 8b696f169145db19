"""The command `bench`: choose the model that picks the owner's photos best."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from ops.commands.bench.publish import command as publishing
from ops.commands.bench.results import Method
from ops.errors import OpsError
from ops.options import AsJson, OnlyModels, command_app, duration

URL_VARIABLE = "LLAMA_SWAP_URL"
"""The endpoint that `ops window -- COMMAND` opened."""
POOL_VARIABLE = "LLAMA_SWAP_POOL"
"""Its pool, where there are several."""


class _Photos(TyperGroup):
    """`bench PHOTOS_DIR` is short for `bench run PHOTOS_DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert `run` where no command is named."""
        is_named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_named else ["run", *args])


app = command_app(
    cls=_Photos,
    help="Choose the model that agrees best with your favourites or ratings of your photos.\n\n"
    "`bench PHOTOS_DIR` is short for `bench run PHOTOS_DIR`.\n\n"
    "Example: `python -m ops bench ~/Pictures/2026 --sample 150 --window 30m`",
)


PhotosDir = Annotated[
    Path | None,
    typer.Argument(
        metavar="PHOTOS_DIR",
        help="Folder to read photos from (default: --immich, or the photos of --run).",
        show_default=False,
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        min=1,
        help="Judge how well each model picks this many best photos (default: a tenth).",
    ),
]
Export = Annotated[
    Literal["csv"] | None,
    typer.Option(
        "--export", help="Also write scores.csv into the run's directory: one row per photo."
    ),
]
Thumbnails = Annotated[
    bool | None,
    typer.Option(
        "--thumbnails/--no-thumbnails",
        help="Show photos in the report (default: as the run did last; yes in a new run).",
        show_default=False,
    ),
]


@app.command()
def run(
    photos_dir: PhotosDir = None,
    immich: Annotated[
        str | None,
        typer.Option(
            "--immich",
            help="Read photos from the Immich at this address, http(s)://host:port; requires "
            "--album and IMMICH_API_KEY.",
        ),
    ] = None,
    judgement: Annotated[
        Path | None,
        typer.Option(
            "--judgement",
            help="Read your judgement from this CSV, with the columns name and favourite or "
            "rating (1 to 5) (default: favourites.csv in PHOTOS_DIR, if it exists).",
        ),
    ] = None,
    album: Annotated[
        str | None, typer.Option("--album", help="Read this album of --immich, by name or id.")
    ] = None,
    model: OnlyModels = None,
    method: Annotated[
        Method | None,
        typer.Option(
            "--method",
            help="Ask by this method. score: one label per photo. rubric: one label per "
            "criterion. anchored: each photo against a few fixed ones. pairwise: a shortlist, "
            "pair by pair (default: --run's, else score).",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            min=2,
            help="Draw this many photos, half of them favourites if there are no ratings; with "
            "--run, extend the run to this many (default: all).",
        ),
    ] = None,
    rubric: Annotated[
        Path | None,
        typer.Option(
            "--rubric",
            help="Read the questions from this TOML file (default: --run's, else the repository's "
            "rubric.toml).",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            envvar=URL_VARIABLE,
            show_envvar=True,
            help="Ask the endpoint at this address, http(s)://host:port (default: kubectl "
            "port-forward to the cluster of KUBE_CONFIG_PATH and KUBE_CTX).",
        ),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="NAME",
            envvar=POOL_VARIABLE,
            show_envvar=True,
            help="Ask the models of this pool (default: --run's, else the first pool).",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            parser=duration,
            metavar="DURATION",
            help="Borrow the GPU for this long, such as 30m, as `ops window` does, and ask only "
            "what fits (default: do not borrow it).",
        ),
    ] = None,
    within: Annotated[
        int | None,
        typer.Option(
            "--within",
            parser=duration,
            metavar="DURATION",
            help="Ask only what fits into this time, such as 30m, without borrowing the GPU "
            "(default: no limit).",
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="Start or resume the run in this directory (default: the last run of this "
            "command if it is unfinished, else a new bench-runs/NOW).",
        ),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Start a new run even if the last one is unfinished.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Also retry questions that failed for another reason than the photo: timeouts, "
            "broken connections, refusals by the server.",
        ),
    ] = False,
    as_json: AsJson = False,
    export: Export = None,
    thumbnails: Thumbnails = None,
    top_k: TopK = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", help="Draw photos and their order with this seed (default: --run's, else 1)."
        ),
    ] = None,
    anchors: Annotated[
        int | None,
        typer.Option(
            "--anchors",
            min=1,
            max=8,
            help="With --method anchored: compare with this many fixed photos (default: --run's, "
            "else 3).",
        ),
    ] = None,
    shortlist: Annotated[
        int | None,
        typer.Option(
            "--shortlist",
            min=2,
            max=200,
            help="With --method pairwise: compare this many photos (default: --run's, else 20).",
        ),
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(
            "--pairs",
            min=1,
            help="With --method pairwise: ask this many pairs per photo (default: --run's, else "
            "5).",
        ),
    ] = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout-s",
            min=0.1,
            help="Wait this many seconds for each answer, including the load of its model.",
        ),
    ] = 300,
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", help="Mark every output as made with random weights."),
    ] = False,
    engine_build: Annotated[
        str | None,
        typer.Option(
            "--engine-build",
            help="Record this llama.cpp build with the results (default: the settings', unless "
            "--url is given).",
        ),
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(
            "--lock", help="Read this lock file (default: the repository's models.lock.json)."
        ),
    ] = None,
    in_window: Annotated[
        int | None, typer.Option("--in-window", parser=duration, hidden=True)
    ] = None,
) -> None:
    """Ask every model about the same photos, one model after the other, and write a report.

    Each answer is on disk before the next question, so the same command resumes an interrupted
    run and repeats no question. `bench report RUN` rewrites the report without asking. Set
    LLAMA_API_KEY if the endpoint requires a key. Exit code: 0 a report was written, 1 an error, or
    the report lacks a model that kept failing.

    Example: `python -m ops bench run ~/Pictures/2026 --sample 150 --window 30m`
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
        raise OpsError(f"PHOTOS_DIR is {str(photos_dir)!r}; expected a folder")
    from ops.commands.bench.options import RunOptions, pool_of
    from ops.commands.bench.whole_run import run_bench
    from stacks.declared import load_pools, load_settings_of_pools

    chosen = {
        "method": method,
        "seed": seed,
        "anchors": anchors,
        "shortlist": shortlist,
        "pairs_per_photo": pairs,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    is_url_typed = url is not None and url != os.environ.get(URL_VARIABLE)
    declared = [each.pool for each in load_settings_of_pools()]
    (settings,) = load_settings_of_pools(pool_of(run_dir, pool, declared))
    if engine_build is None and url is None:
        engine_build = f"b{settings.engine_build}"
    run_bench(
        RunOptions(
            settings=Settings(
                source=source,
                models=tuple(dict.fromkeys(model or ())),
                sample=sample,
                random_weights=random_weights,
                lock=None if lock is None else str(lock.resolve()),
                pool=settings.pool if len(declared) > 1 else None,
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
        ),
        load_pools,
    )


@app.command()
def report(
    run_dir: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory of the run.", show_default=False)
    ],
    method: Annotated[
        Method | None,
        typer.Option("--method", help="Use the scores of this method (default: the last asked)."),
    ] = None,
    judged: Annotated[
        bool,
        typer.Option(
            "--judge-again",
            help="Read your favourites and ratings again from the photos' folder or album.",
        ),
    ] = False,
    as_json: AsJson = False,
    export: Export = None,
    thumbnails: Thumbnails = None,
    top_k: TopK = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", help="Compute the confidence intervals with this seed (default: the run's)."
        ),
    ] = None,
) -> None:
    """Rewrite a run's report without asking any model.

    Example: `python -m ops bench report bench-runs/2026-11-25-201500 --export csv`
    """
    from ops.commands.bench.outputs import Wanted, write_outputs

    if judged:
        from rich.console import Console

        from ops.commands.bench.asking.progress import Display
        from ops.commands.bench.session import judge_again

        judge_again(run_dir, say=Display(Console(stderr=True)).say)
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
