"""Read the owner's judgement again, after favourites or ratings have changed."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from pathlib import Path

from ops.commands.bench.album.collect import read_prepared, share_of_favourites, write_photos
from ops.commands.bench.album.draw import without_duplicates
from ops.commands.bench.album.judgement import merged
from ops.commands.bench.album.source import Source
from ops.commands.bench.answers import ALBUM, read_album, read_photos
from ops.commands.bench.jsonl import write_whole
from ops.commands.bench.next_command import resume_command
from ops.errors import OpsError
from ops.report.terminal import Say


def read_judgement_again(run_dir: Path, source: Source, say: Say) -> None:
    """Read favourites and ratings of a run's photos again; the photos stay the same.

    A photo that is no longer in the source keeps its judgement.

    Raises:
        OpsError: when the run has no photos yet, or they cannot be written.
    """
    kept = read_photos(run_dir)
    if kept is None:
        raise OpsError(f"{run_dir} has no photos yet. Run `{resume_command(run_dir)}` first.")
    candidates = source.candidates(say)
    by_original = {
        candidate.original: candidate for candidate in without_duplicates(candidates)[0]
    }
    judged = {candidate.id: by_original[candidate.original] for candidate in candidates}
    # Photos whose sent bytes are equal are one photo of the run, with the judgement of all.
    alike: dict[str, list[str]] = defaultdict(list)
    for name, entry in read_prepared(run_dir).items():
        alike[entry["image_sha256"]].append(name)
    photos = []
    for photo in kept:
        names = [photo.source_id, *(alike[photo.image_sha256] if photo.image_sha256 else [])]
        judgements = [judged[name] for name in dict.fromkeys(names) if name in judged]
        if judgements:
            photo = dataclasses.replace(photo, **dataclasses.asdict(merged(judgements)))
        photos.append(photo)
    changed = sum(before != after for before, after in zip(kept, photos, strict=True))
    write_photos(run_dir, photos)
    album = read_album(run_dir)
    if album.get("favourite_share") is not None:
        album["favourite_share"] = share_of_favourites(candidates)
        write_whole(run_dir / ALBUM, json.dumps(album, indent=2) + "\n")
    say(f"your judgement changed for {changed} of {len(photos)} photos")
