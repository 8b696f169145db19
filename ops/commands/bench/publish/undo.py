"""Undo a publication: restore exactly what it changed, except what the owner changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ops.commands.bench.publish.picks import show
from ops.commands.bench.publish.planning import PERMISSIONS, marked_album
from ops.commands.bench.publish.record import Record, read_records, write_record
from ops.errors import OpsError
from ops.immich.api import Immich
from ops.immich.http import GoneError
from ops.report.words import count


def choose(run_dir: Path, number: int | None) -> Record:
    """Find the publication to undo.

    Args:
        run_dir: The run's directory.
        number: Of the publication; None: the latest that is not undone.

    Raises:
        OpsError: when there is none, or a later one rated the same photos: undoing that one
            would restore the ratings of this one.
    """
    records = read_records(run_dir)
    open_ = [record for record in records if record.state != "undone"]
    if number is None:
        if not open_:
            raise OpsError(f"{run_dir} has no publication left to undo")
        return open_[-1]
    for record in open_:
        if record.number == number:
            _check_latest(record, open_)
            return record
    numbers = ", ".join(str(record.number) for record in open_) or "none"
    raise OpsError(f"--number is {number}; expected a publication that is not undone: {numbers}")


def _check_latest(record: Record, open_: Sequence[Record]) -> None:
    rated = {entry.asset_id for entry in record.entries}
    later = [
        later_record.number
        for later_record in open_
        if record.target == later_record.target == "rating"
        and later_record.number > record.number
        and any(entry.asset_id in rated for entry in later_record.entries)
    ]
    if later:
        raise OpsError(
            f"--number is {record.number}, but publication {later[-1]} has rated some of its "
            f"photos since. Undo {later[-1]} first."
        )


def undo(immich: Immich, run_dir: Path, record: Record) -> Iterator[tuple[str, str]]:
    """Undo one publication; repeat it after an interruption.

    Yields:
        The name of a photo, tag or album, and its outcome.

    Raises:
        OpsError: when Immich is not reachable, or the key lacks permissions.
    """
    immich.check_permissions(PERMISSIONS[record.target])
    if record.target == "rating":
        yield from _ratings(immich, record)
    elif record.target == "tag":
        yield from _tag(immich, record)
    else:
        yield from _album(immich, record)
    write_record(run_dir, dataclasses.replace(record, state="undone"))


def _ratings(immich: Immich, record: Record) -> Iterator[tuple[str, str]]:
    for entry in record.entries:
        try:
            now = immich.asset(entry.asset_id).rating
            if now == entry.after:
                immich.set_rating(entry.asset_id, entry.before)
        except GoneError:
            yield entry.name, "was deleted"
            continue
        if now == entry.after:
            yield entry.name, f"{show(entry.after)} -> {show(entry.before)}"
        elif now == entry.before:
            yield entry.name, f"is already {show(entry.before)}"
        else:
            yield entry.name, f"stays at {show(now)}: you changed it"


def _tag(immich: Immich, record: Record) -> Iterator[tuple[str, str]]:
    tags = {tag.value: tag.id for tag in immich.tags()}
    try:
        if record.label in tags:
            ids = [entry.asset_id for entry in record.entries]
            refused = immich.remove_tag(tags[record.label], ids)
            for entry in record.entries:
                why = refused.get(entry.asset_id)
                yield entry.name, "untagged" if why is None else f"no longer had the tag ({why})"
    except GoneError:
        del tags[record.label]
    for path in sorted(record.created, key=len, reverse=True):
        if path not in tags:
            yield path, "the tag no longer exists"
        elif any(tag.startswith(f"{path}/") for tag in tags):
            yield path, "kept the tag: it has tags below it"
        elif next(immich.tagged(tags[path]), None) is not None:
            yield path, "kept the tag: other photos have it"
        else:
            # A tag that is gone at the retry was deleted by the attempt whose answer was lost.
            with suppress(GoneError):
                immich.delete_tag(tags[path])
            del tags[path]
            yield path, "deleted the tag"


def _album(immich: Immich, record: Record) -> Iterator[tuple[str, str]]:
    album_id = record.object_id or marked_album(immich, record)
    try:
        if not album_id:
            raise GoneError(404, "the album was never made")
        refused = immich.remove_from_album(album_id, [entry.asset_id for entry in record.entries])
        for entry in record.entries:
            why = refused.get(entry.asset_id)
            yield (
                entry.name,
                "removed from the album" if why is None else f"was no longer in it ({why})",
            )
        if not record.created:
            return
        left = immich.album_by_id(album_id).asset_count
        if left:
            yield record.label, f"kept the album: {count(left, 'other photo')} in it"
        elif next(immich.in_album(album_id), None) is not None:
            yield record.label, "kept the album: other photos of it are in the trash"
        else:
            immich.delete_album(album_id)
            yield record.label, "deleted the album"
    except GoneError:
        yield record.label, "the album no longer exists"
