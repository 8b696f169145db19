"""`python -m ops weights COMMAND`: the models' files on a mounted volume."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from in_pod.download import upkeep
from in_pod.download.errors import DownloadError
from in_pod.download.folders import foreign_text
from in_pod.download.hub import Hub
from in_pod.download.progress import PlainReport
from in_pod.download.pull import pull as download
from in_pod.download.run import Options
from in_pod.download.volume_errors import volume_error
from llama_swap_config.lock.locked import LOCK_PATH
from ops.errors import OpsError
from ops.options import AsJson, LockPath, OnlyPool, command_app
from ops.report.terminal import CONSOLE

if TYPE_CHECKING:
    from ops.commands.weights.volume import DeclaredVolume

app = command_app(
    help="Download, list, verify and prune the models' files on a volume.\n\n"
    "Example: `python -m ops weights status /mnt/llamacpp`",
    no_args_is_help=True,
)

Volume = Annotated[
    Path,
    typer.Argument(
        metavar="VOLUME", help="Directory where the models' volume is mounted.", show_default=False
    ),
]
Publish = Annotated[
    bool,
    typer.Option(
        "--publish/--no-publish",
        help="Switch the models' links to the new files, or only download (before a merge).",
    ),
]
OfPool = Annotated[
    str | None,
    typer.Option(
        "--pool",
        metavar="NAME",
        help="VOLUME is the one that this pool uses (default: the only volume).",
        show_default=False,
    ),
]
WaitS = Annotated[
    float,
    typer.Option(
        "--wait-s", min=0, help="Wait this many seconds for another download or prune to end."
    ),
]

_DEFAULTS = Options()
_console = CONSOLE


def _say(line: str) -> None:
    _console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def _one_line(volume: Path) -> Iterator[None]:
    """Convert errors of the download program and of the volume."""
    try:
        yield
    except DownloadError as error:
        raise OpsError(str(error)) from error
    except OSError as error:
        raise OpsError(str(volume_error(volume, error))) from error


def _say_foreign(volume: Path, taken_over: Container[str] = ()) -> None:
    if line := foreign_text(volume, taken_over):
        _say(line)


def _declared_volume(lock: Path, pool: str | None) -> DeclaredVolume:
    from ops.commands.weights.volume import declared_volume
    from stacks.declared import load_pools, pool_named

    pools = load_pools(lock)
    chosen = None if pool is None else pool_named(pools, pool)
    return declared_volume(pools, chosen, lock)


def _say_note(note: str) -> None:
    if note:
        _say(note)


def _refuse_strange_root(volume: Path) -> None:
    """Refuse to write as root to a volume whose owner, the Job, could not change the files."""
    owner = volume.stat().st_uid if volume.exists() else os.geteuid()
    if os.geteuid() == 0 and owner != 0:
        raise OpsError(
            f"{volume} belongs to user {owner}, who could not change root's files. Run this as "
            f"that user: sudo -u '#{owner}' {sys.executable} -m ops weights ..."
        )


@app.command()
def volumes(pool: OnlyPool = None, lock: LockPath = LOCK_PATH, json_: AsJson = False) -> None:
    """List the volume that each pool uses, where it is, and which models of it.

    Reads registry, settings and lock; needs no volume.

    Example: `python -m ops weights volumes --pool rtx3090`
    """
    from ops.commands.weights import declared_volumes
    from ops.commands.weights.shown import show_volumes
    from stacks.declared import load_pools, pool_named

    pools = load_pools(lock)
    chosen = pools if pool is None else (pool_named(pools, pool),)
    found = declared_volumes.volumes(pools, chosen)
    if json_:
        typer.echo(json.dumps([asdict(volume) for volume in found], indent=2))
    else:
        show_volumes(_console, found)


@app.command()
def pull(
    volume: Volume,
    lock: LockPath = LOCK_PATH,
    pool: OfPool = None,
    publish: Publish = True,
    connections: Annotated[
        int,
        typer.Option(
            "--connections", min=1, help="Open at most this many connections to the hub, in all."
        ),
    ] = _DEFAULTS.connections,
    wait_s: WaitS = _DEFAULTS.wait_s,
) -> None:
    """Download the lock's files to a volume, as its download Job does, and publish the models.

    Skips complete files and resumes partial ones. Publishing switches a model's link to its new
    files. Reads HF_TOKEN, HF_ENDPOINT, HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE. Run it as the
    volume's owner.

    Example: `python -m ops weights pull /mnt/llamacpp --no-publish`
    """
    _refuse_strange_root(volume)
    from ops.commands.weights.download_bar import DownloadBar

    declared = _declared_volume(lock, pool)
    plan = declared.plan
    options = Options(connections=connections, wait_s=wait_s)
    with _one_line(volume):
        _say_note(declared.note)
        _say_foreign(volume, plan.models)
        hub = Hub()
        bar = DownloadBar(_console) if _console.is_terminal else nullcontext(PlainReport(_say))
        with bar as report:
            download(
                plan, volume, hub, publishing=publish, options=options, report=report, say=_say
            )


@app.command()
def status(
    volume: Volume,
    lock: LockPath = LOCK_PATH,
    pool: OfPool = None,
    sha256: Annotated[
        bool, typer.Option("--sha256", help="Also hash every file (default: compare sizes only).")
    ] = False,
    json_: AsJson = False,
) -> None:
    """Compare a volume with the lock: present, partial, wrong, missing and unused files.

    A file to take over lies in its model's folder: the next run does not download it. With --pool
    only the models that this pool uses; what others use is not unused.

    Exit code: 0 every model can be served, 2 a file is missing or wrong, 1 an error.

    Example: `python -m ops weights status /mnt/llamacpp`
    """
    from ops.commands.weights import volume as weights
    from ops.commands.weights.shown import show_weights

    def hashing(name: str) -> None:
        typer.echo(f"hashing {name}", err=True)

    declared = _declared_volume(lock, pool)
    with _one_line(volume):
        state = weights.status(
            declared.plan,
            volume,
            models=declared.models,
            hashing=hashing if sha256 else None,
        )
    if json_:
        whose = {"pool": declared.pool, "volume_of": declared.owner} if declared.pool else {}
        typer.echo(json.dumps(whose | weights.to_json(state), indent=2))
    else:
        _say_note(declared.note)
        show_weights(_console, state)
    raise typer.Exit(0 if state.is_whole else 2)


@app.command()
def verify(
    volume: Volume,
    rate_mb_s: Annotated[
        float,
        typer.Option("--rate-mb-s", min=1, help="Read at most this many MB/s."),
    ] = 100,
) -> None:
    """Hash every complete file of a volume and compare it with its sha256.

    Bypasses the page cache, so that warm models stay warm. Exit code: 0 every file is correct, 1 a
    file is wrong, or an error.

    Example: `python -m ops weights verify /mnt/llamacpp --rate-mb-s 200`
    """
    from ops.commands.weights.volume import require_blobs

    require_blobs(volume)
    with _one_line(volume):
        _say_foreign(volume)
        wrong = upkeep.verify(volume, rate_mb_s=rate_mb_s, say=_say)
    if wrong:
        raise OpsError(upkeep.wrong_text(volume, wrong))


@app.command()
def prune(
    volume: Volume,
    lock: LockPath = LOCK_PATH,
    pool: OfPool = None,
    grace_h: Annotated[
        float,
        typer.Option(
            "--grace-h",
            min=0,
            help="Keep a file for this many hours after a prune first found it unused.",
        ),
    ] = 168,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the unused files; remove nothing.")
    ] = False,
    wait_s: WaitS = _DEFAULTS.wait_s,
) -> None:
    """Remove files that neither the lock nor a model's link uses, after a grace period.

    Keeps what any pool uses of the volume, also with --pool.

    Example: `python -m ops weights prune /mnt/llamacpp --dry-run`
    """
    from ops.commands.weights.volume import require_blobs

    require_blobs(volume)
    if not dry_run:
        _refuse_strange_root(volume)
    declared = _declared_volume(lock, pool)
    with _one_line(volume):
        _say_note(declared.note)
        _say_foreign(volume)
        upkeep.prune(
            volume,
            declared.plan,
            grace_s=grace_h * 3600,
            dry_run=dry_run,
            options=Options(wait_s=wait_s),
            say=_say,
        )
