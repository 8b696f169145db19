"""Where the benchmark's parts meet: photos, statistics, report, and the window."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from ops.photo_bench.answers import Journal, read_photos
from ops.photo_bench.results import Photo, Run
from ops.photo_bench.session import PhotosFrom
from ops.photo_bench.summary import Summary
from ops.terminal import Say


def collect(
    run_dir: Path, source: PhotosFrom, journal: Journal, *, sample: int | None, seed: int, say: Say
) -> tuple[Photo, ...]:
    """Prepare the photos of a source: their bytes into RUN/images, in the order of the run.

    Args:
        run_dir: The run's directory.
        source: What is typed.
        journal: Keeps how frequent favourites are where they are drawn more often.
        sample: How many are drawn; None: all.
        seed: Of the draw and of the order.
        say: Takes a line for the operator.

    Raises:
        OpsError: when there are no photos.
    """
    kept = read_photos(run_dir)
    if kept is not None:
        return kept
    with ExitStack() as stack:
        counted = _Counted(_opened(source, run_dir, stack))
        collected: tuple[Photo, ...] = import_module("ops.photo_bench.album.collect").collect(
            run_dir, counted, sample=sample, seed=seed, say=say
        )
    if sample is not None:
        journal.note("album", favourite_share=counted.favourite_share)
    return collected


def _opened(source: PhotosFrom, run_dir: Path, stack: ExitStack) -> Any:
    if source.folder is not None:
        folder = import_module("ops.photo_bench.album.folder").Folder
        return folder(path=source.folder, judgement=source.judgement, leave_out=run_dir)
    http = import_module("ops.photo_bench.immich.http")
    server = stack.enter_context(
        import_module("ops.photo_bench.immich.api").Immich(
            http.ImmichHttp(source.immich, key=http.api_key())
        )
    )
    return import_module("ops.photo_bench.album.immich_album").ImmichAlbum(server, source.album)


class _Counted:
    """A source that remembers how frequent favourites are among all of its photos."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.title: str = source.title
        self.favourite_share: float | None = None

    def candidates(self, say: Say) -> Any:
        found = self._source.candidates(say)
        known = [each.favourite for each in found if each.favourite is not None]
        self.favourite_share = sum(known) / len(known) if any(known) else None
        return found

    def read(self, drawn: Any) -> Any:
        return self._source.read(drawn)


def summarise(run: Run, *, top_k: int | None, seed: int) -> Summary:
    """Work out what a run says."""
    summary: Summary = import_module("ops.photo_bench.statistics.summarise").summarise(
        run, top_k=top_k, seed=seed
    )
    return summary


def render(run: Run, summary: Summary, images: Path, *, thumbnails: bool) -> str:
    """Write the report as one HTML file."""
    html: str = import_module("ops.photo_bench.report").render(
        run, summary, images, thumbnails=thumbnails
    )
    return html


def in_window(window_s: int, arguments: Sequence[str]) -> int:
    """Run a command of `python -m ops` inside a GPU window, and return its exit code.

    Args:
        window_s: How long the window is open.
        arguments: What follows `python -m ops`; it finds the endpoint in LLAMA_SWAP_URL.
    """
    ops = [sys.executable, "-m", "ops"]
    command = [*ops, "window", "--for", f"{window_s}s", "--", *ops, *arguments]
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except BaseException as ended:
        # Ctrl-C has reached the window too. It gives the card back before it ends, and only then
        # may this command end.
        if not isinstance(ended, KeyboardInterrupt):
            process.terminate()
        process.wait()
        raise
