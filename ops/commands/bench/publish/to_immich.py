"""Publish a model's best photos to Immich: as ratings, a tag or an album."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from ops.commands.bench.publish.planning import Plan, marked_album
from ops.commands.bench.publish.record import Entry, Record, State, write_record
from ops.immich.api import Immich
from ops.immich.http import GoneError


def publish(immich: Immich, run_dir: Path, planned: Plan) -> Iterator[tuple[Entry, str]]:
    """Change Immich as planned, after recording the values that are replaced.

    After an interruption, plan and publish again to finish it.

    Yields:
        Each photo with why it was not changed; empty: it was changed.

    Raises:
        OpsError: when Immich is not reachable, or the record not writable.
    """
    record = planned.record
    if not record.entries and not planned.resumed:
        return
    write_record(run_dir, record)
    if record.target == "rating":
        for entry in planned.changes:
            try:
                immich.set_rating(entry.asset_id, entry.after)
            except GoneError:
                yield entry, "was deleted, or is not yours"
            else:
                yield entry, ""
    elif planned.changes:
        if not record.object_id:
            record = dataclasses.replace(record, object_id=_made(immich, record))
            write_record(run_dir, record)
        ids = [entry.asset_id for entry in planned.changes]
        add = immich.add_tag if record.target == "tag" else immich.add_to_album
        refused = add(record.object_id, ids)
        for entry in planned.changes:
            why = refused.get(entry.asset_id, "")
            yield entry, "" if why in ("", "duplicate") else f"refused ({why})"
    # If the owner rated all of them meanwhile, there is nothing to undo.
    state: State = "done" if record.entries else "undone"
    write_record(run_dir, dataclasses.replace(record, state=state))


def _made(immich: Immich, record: Record) -> str:
    """Create the tag or album; find the one that an interrupted attempt created."""
    if record.target == "tag":
        return immich.make_tag(record.label).id
    album_id = marked_album(immich, record)
    if album_id:
        return album_id
    description = f"The photos that {record.model} likes best. ({record.mark})"
    return immich.make_album(record.label, description).id
