"""Take back what was published to Immich: exactly that, and nothing that the owner did since."""

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


def choose(run_dir: Path, number: int | None) -> Record:
    """Find what is to be taken back.

    Args:
        run_dir: The run's directory.
        number: Of the publication; None: the latest that is not taken back.

    Raises:
        OpsError: when there is none, or a later one rated the same photos: it found the ratings
            that this one gave, and would bring them back.
    """
    records = read_records(run_dir)
    open_ = [record for record in records if record.state != "undone"]
    if number is None:
        if not open_:
            raise OpsError(f"nothing of {run_dir} is published, or all of it is taken back")
        return open_[-1]
    for record in open_:
        if record.number == number:
            _check_latest(record, open_)
            return record
    numbers = ", ".join(str(record.number) for record in open_) or "none"
    raise OpsError(f"--number is {number}; published and not taken back: {numbers}")


def _check_latest(record: Record, open_: Sequence[Record]) -> None:
    rated = {entry.asset_id for entry in record.entries}
    later = [
        each.number
        for each in open_
        if record.target == each.target == "rating"
        and each.number > record.number
        and any(entry.asset_id in rated for entry in each.entries)
    ]
    if later:
        raise OpsError(
            f"--number is {record.number}, but publication {later[-1]} rated some of its photos "
            f"since; undo {later[-1]} first"
        )


def undo(immich: Immich, run_dir: Path, record: Record) -> Iterator[tuple[str, str]]:
    """Take one publication back; interrupted, it is finished by doing it again.

    Yields:
        A photo's name, or a tag's or the album's, and what happened to it.

    Raises:
        OpsError: when Immich cannot be reached, or the key may not.
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
            yield entry.name, "deleted meanwhile"
            continue
        if now == entry.after:
            yield entry.name, f"{show(entry.after)} -> {show(entry.before)}"
        elif now == entry.before:
            yield entry.name, f"is {show(entry.before)} already"
        else:
            yield entry.name, f"left at {show(now)}: changed since"


def _tag(immich: Immich, record: Record) -> Iterator[tuple[str, str]]:
    tags = {tag.value: tag.id for tag in immich.tags()}
    try:
        if record.label in tags:
            ids = [entry.asset_id for entry in record.entries]
            refused = immich.remove_tag(tags[record.label], ids)
            for entry in record.entries:
                why = refused.get(entry.asset_id)
                yield entry.name, "untagged" if why is None else f"had no tag any more ({why})"
    except GoneError:
        del tags[record.label]
    for path in sorted(record.created, key=len, reverse=True):
        if path not in tags:
            yield path, "the tag is gone already"
        elif any(other.startswith(f"{path}/") for other in tags):
            yield path, "the tag stays: there are others below it"
        elif next(immich.tagged(tags[path]), None) is not None:
            yield path, "the tag stays: other photos have it"
        else:
            # One that is gone when asked again was deleted by a try whose answer was lost.
            with suppress(GoneError):
                immich.delete_tag(tags[path])
            del tags[path]
            yield path, "deleted the tag"


def _album(immich: Immich, record: Record) -> Iterator[tuple[str, str]]:
    album_id = record.object_id or marked_album(immich, record)
    try:
        if not album_id:
            raise GoneError(404, "the album was never made")
        refused = immich.remove_from_album(album_id, [each.asset_id for each in record.entries])
        for entry in record.entries:
            why = refused.get(entry.asset_id)
            yield entry.name, "taken out" if why is None else f"was not in it any more ({why})"
        if not record.created:
            return
        left = immich.album_by_id(album_id).asset_count
        if left:
            yield record.label, f"the album stays: {left} other photos are in it"
        elif next(immich.in_album(album_id), None) is not None:
            yield record.label, "the album stays: other photos of it are in the bin"
        else:
            immich.delete_album(album_id)
            yield record.label, "deleted the album"
    except GoneError:
        yield record.label, "the album is gone already"
