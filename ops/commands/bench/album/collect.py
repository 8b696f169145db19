"""Collect the photos of a run: draw, shuffle and prepare them once, and keep them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.commands.bench.album.bursts import Shot, number_bursts
from ops.commands.bench.album.draw import draw, rule_of, without_duplicates
from ops.commands.bench.album.judgement import merged
from ops.commands.bench.album.prepare import RESIZE_RULE, PhotoError, prepare
from ops.commands.bench.album.source import Candidate, Original, Source
from ops.commands.bench.answers import ALBUM, PHOTOS, read_album, read_photos
from ops.commands.bench.jsonl import write_whole
from ops.commands.bench.results import Failure, Photo
from ops.errors import OpsError, writing
from ops.report.terminal import Say
from ops.report.words import count

IMAGES = "images"
_PREPARED = "prepared.jsonl"
"""One prepared photo per line, with its look."""
_PROGRESS_S = 5.0
_ADVICE: Mapping[Failure, str] = {
    "image_unsupported": "export raw files as JPEG, and convert HEIC with "
    "`magick mogrify -format jpg *.heic`",
    "image_unreadable": "open one of them: it may be truncated, or a login page",
    "image_too_large": "make them smaller",
    "image_too_small": "leave out icons and very narrow panoramas",
    "image_missing": "open one of them: it may be deleted or hidden",
}
"""Advice on photos that cannot be sent; of several failure classes the first here counts."""


def collect(
    run_dir: Path, source: Source, *, sample: int | None = None, seed: int = 1, say: Say
) -> tuple[Photo, ...]:
    """Draw and prepare the photos of a run; those prepared already are not read again.

    Args:
        run_dir: The run's directory, created if missing.
        source: A folder or an album.
        sample: Number of photos to draw (default: all). A larger number than the run's appends
            photos; the existing ones keep their order and the owner's judgement.
        seed: Of the draw and the order.
        say: Takes lines of progress.

    Returns:
        The photos in the order in which every model sees them; a photo that cannot be prepared
        has its class of failure.

    Raises:
        OpsError: when there are no photos, none can be prepared, or the directory is not
            writable.
    """
    there = collected(run_dir, sample=sample)
    if there is not None:
        return there
    # album.json is written last: without it, an earlier collection was interrupted.
    album = read_album(run_dir)
    kept = (read_photos(run_dir) if album else None) or ()
    candidates, equal = without_duplicates(source.candidates(say))
    drawn = draw(candidates, sample=sample, seed=seed)
    random.Random(seed).shuffle(drawn)  # noqa: S311 - nothing is kept secret with it.
    if equal:
        say(f"skipped {count(equal, 'duplicate photo')}")
    before = album["drawn"] if kept else 0
    added = _added(drawn, kept, before)
    more = "more " if kept else ""
    say(f"drew {len(added)} {more}of {len(candidates)} photos from {source.title}")
    about = _album(candidates, sample=sample, drawn=max(before, len(drawn)))
    with writing(run_dir):
        (run_dir / IMAGES).mkdir(mode=0o700, parents=True, exist_ok=True)
        done = read_prepared(run_dir)
        shots = [
            Shot(photo=photo, look=done.get(photo.source_id, {}).get("look")) for photo in kept
        ]
        shots += _prepared(run_dir, source, added, done, say)
        photos = number_bursts(_merged(shots))
        _report_failures(photos, source, say)
        write_photos(run_dir, photos)
        write_whole(run_dir / ALBUM, json.dumps(about, indent=2) + "\n")
    return photos


def collected(run_dir: Path, *, sample: int | None) -> tuple[Photo, ...] | None:
    """Read the photos of a run; None: they are not collected yet, or more are wanted.

    Args:
        run_dir: The run's directory.
        sample: Number of wanted photos; None: those that are collected.
    """
    photos = read_photos(run_dir)
    album = read_album(run_dir) if photos else {}
    earlier = album.get("sample")
    is_more = sample is not None and earlier is not None and sample > earlier
    return None if not album or is_more else photos


def write_photos(run_dir: Path, photos: Sequence[Photo]) -> None:
    """Write the photos of a run atomically."""
    lines = (json.dumps(dataclasses.asdict(photo)) + "\n" for photo in photos)
    write_whole(run_dir / PHOTOS, "".join(lines))


def _added(drawn: Sequence[Candidate], kept: Sequence[Photo], before: int) -> list[Candidate]:
    """Choose what a larger draw adds to a run, up to the larger number.

    Args:
        drawn: Shuffled. The same seed draws the same photos of the same album first.
        kept: The photos of the run.
        before: Number of photos that were drawn for `kept`.
    """
    known = {photo.source_id for photo in kept}
    return [candidate for candidate in drawn if candidate.id not in known][
        : max(0, len(drawn) - before)
    ]


def _prepared(
    run_dir: Path,
    source: Source,
    drawn: Sequence[Candidate],
    done: Mapping[str, Mapping[str, Any]],
    say: Say,
) -> Iterator[Shot]:
    """Prepare the photos that are not prepared yet, in the order of `drawn`."""
    missing = [candidate for candidate in drawn if candidate.id not in done]
    originals = iter(source.read(missing))
    said_at = time.monotonic()
    with (run_dir / _PREPARED).open("a", encoding="utf-8") as log:
        for number, candidate in enumerate(drawn, start=1):
            entry = done.get(candidate.id)
            if entry is None:
                original = next(originals)
                entry = _prepare(run_dir, original)
                if original.failure is None:
                    # A photo that the source could not deliver is requested again by the next run.
                    log.write(json.dumps({"id": candidate.id, **entry}) + "\n")
                    log.flush()
            if time.monotonic() - said_at > _PROGRESS_S:
                said_at = time.monotonic()
                say(f"prepared {number} of {len(drawn)} photos")
            look = entry["look"]
            kept = {key: value for key, value in entry.items() if key not in ("id", "look")}
            photo = Photo(
                name=candidate.name,
                favourite=candidate.favourite,
                rating=candidate.rating,
                taken_at=candidate.taken_at,
                asset_id=candidate.asset_id,
                **kept,
            )
            yield Shot(photo=photo, look=look)


def _prepare(run_dir: Path, original: Original) -> dict[str, Any]:
    """Prepare one photo and keep its image, independently of the other drawn photos."""
    entry: dict[str, Any] = {
        "original_sha256": hashlib.sha256(original.content).hexdigest(),
        "image_sha256": "",
        "failure": original.failure,
        "look": None,
    }
    if original.failure is not None:
        return {**entry, "original_sha256": ""}
    try:
        prepared = prepare(original.content)
    except PhotoError as error:
        return {**entry, "failure": error.failure}
    image = run_dir / IMAGES / f"{prepared.image_sha256}.jpg"
    if not image.exists():
        write_whole(image, prepared.content)
    return {
        **entry,
        "image_sha256": prepared.image_sha256,
        "width": prepared.width,
        "height": prepared.height,
        "look": prepared.look,
    }


def read_prepared(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Read the prepared photos by id, and cut off a torn last line."""
    path = run_dir / _PREPARED
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_whole(path, whole)
    entries = [json.loads(line) for line in whole.splitlines()]
    return {
        entry["id"]: entry
        for entry in entries
        if not entry["image_sha256"]
        or (run_dir / IMAGES / f"{entry['image_sha256']}.jpg").exists()
    }


def _merged(shots: Sequence[Shot]) -> tuple[Shot, ...]:
    """Merge photos whose sent bytes are equal: they would be the same question."""
    equal: dict[str, list[Shot]] = defaultdict(list)
    for number, shot in enumerate(shots):
        equal[shot.photo.image_sha256 or f"failure {number}"].append(shot)
    once = []
    for group in equal.values():
        judgement = merged([shot.photo for shot in group])
        photo = dataclasses.replace(group[0].photo, **dataclasses.asdict(judgement))
        once.append(dataclasses.replace(group[0], photo=photo))
    return tuple(once)


def _report_failures(photos: Sequence[Photo], source: Source, say: Say) -> None:
    """Say which photos cannot be sent.

    Raises:
        OpsError: when none can be sent.
    """
    failures = Counter(photo.failure for photo in photos if photo.failure is not None)
    if not failures:
        return
    classes = ", ".join(f"{number} {name}" for name, number in failures.most_common())
    advice = next(hint for name, hint in _ADVICE.items() if name in failures)
    if len(photos) == failures.total():
        raise OpsError(f"none of the photos of {source.title} can be sent ({classes}); {advice}")
    say(f"{failures.total()} of {len(photos)} photos cannot be sent ({classes}); {advice}")


def share_of_favourites(candidates: Sequence[Candidate]) -> float | None:
    """Return the share of favourites among the judged photos; None: no photo is judged."""
    known = [candidate.favourite for candidate in candidates if candidate.favourite is not None]
    return sum(known) / len(known) if known else None


def _album(candidates: Sequence[Candidate], *, sample: int | None, drawn: int) -> dict[str, Any]:
    """Describe what the photos were drawn from, for the run's provenance.

    The share of favourites among all photos is needed only if photos were drawn by them.
    """
    by_favourites = drawn < len(candidates) and rule_of(candidates) == "favourites"
    return {
        "album_photos": len(candidates),
        "sample": sample,
        "drawn": drawn,
        "favourite_share": share_of_favourites(candidates) if by_favourites else None,
        "resize": RESIZE_RULE,
    }
