"""The owner has marked or rated more photos since: what a run knows of it is read again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ops.errors import OpsError
from ops.photo_bench.album.collect import write_photos
from ops.photo_bench.album.draw import without_duplicates
from ops.photo_bench.album.source import Source
from ops.photo_bench.answers import read_photos
from ops.terminal import Say


def read_judgement_again(run_dir: Path, source: Source, say: Say) -> None:
    """Read favourites and ratings of a run's photos again; the photos stay what they are.

    One that is not in the source any more keeps what is known of it.

    Args:
        run_dir: The run's directory, to which nobody else writes meanwhile.
        source: The folder or the album that it was drawn from.
        say: Takes lines of progress.

    Raises:
        OpsError: when the run has no photos yet, or they cannot be written.
    """
    kept = read_photos(run_dir)
    if kept is None:
        raise OpsError(f"{run_dir} has no photos yet; begin with `python -m ops bench --run`")
    now = {each.id: each for each in without_duplicates(source.candidates(say))[0]}
    photos = tuple(
        dataclasses.replace(photo, favourite=found.favourite, rating=found.rating)
        if (found := now.get(photo.source_id)) is not None
        else photo
        for photo in kept
    )
    changed = sum(before != after for before, after in zip(kept, photos, strict=True))
    write_photos(run_dir, photos)
    say(f"the owner's judgement is another one of {changed} of {len(photos)} photos")
