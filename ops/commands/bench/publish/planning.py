"""Plan what publishing changes in Immich's current state."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from ops.commands.bench.publish.picks import Pick, show, stars
from ops.commands.bench.publish.record import Entry, Record, Target, read_records
from ops.errors import OpsError, one_line
from ops.immich.api import Asset, Immich
from ops.immich.http import GoneError
from ops.report.composed import composed

PERMISSIONS: Mapping[Target, tuple[str, ...]] = {
    "rating": ("asset.read", "asset.update"),
    "tag": ("asset.read", "tag.read", "tag.create", "tag.asset", "tag.delete"),
    "album": (
        "asset.read",
        "album.read",
        "album.create",
        "albumAsset.create",
        "albumAsset.delete",
        "album.delete",
    ),
}
"""Permissions that publishing and undoing need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """A photo that stays unchanged."""

    pick: Pick
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What publishing would change."""

    record: Record
    """Not written yet; after an interruption, the part that stays."""
    changes: tuple[Entry, ...]
    untouched: tuple[Untouched, ...]
    written: tuple[Entry, ...] = ()
    """Photos that an interrupted publication has changed already."""
    resumed: bool = False
    """Whether it resumes an interrupted publication."""


def plan(
    immich: Immich,
    run_dir: Path,
    picks: Sequence[Pick],
    *,
    target: Target,
    model: str,
    label: str = "",
    overwrite: bool = False,
) -> Plan:
    """Plan a publication without changing anything.

    Args:
        immich: The server.
        run_dir: The run's directory, with its earlier publications.
        picks: The model's best photos.
        target: What to publish as.
        model: The model's id.
        label: The tag's path or the album's name (default: one with the model's id).
        overwrite: Whether to change ratings that the owner gave.

    Raises:
        OpsError: when the key lacks permissions, the label is ambiguous, or an interrupted
            publication must be finished or undone first, or cannot be finished here.
    """
    immich.check_permissions(PERMISSIONS[target])
    label = _label(target, model, label)
    records = read_records(run_dir)
    for record in records:
        if record.state == "begun":
            if (record.target, record.model, record.label) != (target, model, label):
                raise OpsError(
                    f"publication {record.number} ({record.model} as {record.target}) was "
                    "interrupted. Repeat it with the same options, or undo it."
                )
            return _resumed(immich, record, overwrite=overwrite)
    record = Record(
        number=max((earlier.number for earlier in records), default=0) + 1,
        server=immich.url,
        target=target,
        model=model,
        label=label,
        entries=(),
    )
    inside: frozenset[str] = frozenset()
    if target == "tag":
        there = {tag.value for tag in immich.tags()}
        parents = accumulate(label.split("/"), lambda parent, part: f"{parent}/{part}")
        created = tuple(path for path in parents if path not in there)
        record = dataclasses.replace(record, created=created)
    elif target == "album":
        albums = [album for album in immich.albums() if composed(album.name) == label]
        if len(albums) > 1:
            raise OpsError(f"{len(albums)} albums are called {label!r}; pass another --label")
        if albums:
            record = dataclasses.replace(record, object_id=albums[0].id)
            inside = frozenset(asset.id for asset in immich.in_album(albums[0].id))
        else:
            mark = f"ops-bench-{secrets.token_hex(6)}"
            record = dataclasses.replace(record, created=(label,), mark=mark)
    entries, untouched = [], []
    for pick in picks:
        try:
            asset = immich.asset(pick.asset_id)
        except GoneError:
            untouched.append(Untouched(pick=pick, reason="was deleted"))
            continue
        after = stars(pick.score) if target == "rating" else None
        reason = _no_change(asset, after, record, inside, overwrite=overwrite)
        if reason:
            untouched.append(Untouched(pick=pick, reason=reason))
            continue
        before = asset.rating if target == "rating" else None
        entries.append(
            Entry(
                asset_id=pick.asset_id,
                name=pick.name,
                score=pick.score,
                before=before,
                after=after,
            )
        )
    record = dataclasses.replace(record, entries=tuple(entries))
    return Plan(record=record, changes=record.entries, untouched=tuple(untouched))


def marked_album(immich: Immich, record: Record) -> str:
    """Find the album that was created before its id could be recorded; empty: none."""
    if not record.mark:
        return ""
    return next((album.id for album in immich.albums() if record.mark in album.description), "")


def _resumed(immich: Immich, record: Record, *, overwrite: bool) -> Plan:
    """Compare an interrupted publication with Immich's current state."""
    if record.server != immich.url:
        raise OpsError(
            f"--immich is {immich.url}; expected {record.server}, where publication "
            f"{record.number} was started. Pass that address, or undo the publication."
        )
    inside = _inside(immich, record)
    kept, changes, written, untouched = [], [], [], []
    for entry in record.entries:
        pick = Pick(asset_id=entry.asset_id, name=entry.name, score=entry.score)
        try:
            asset = immich.asset(entry.asset_id)
        except GoneError:
            # The photo may have been changed, and may return from the trash.
            kept.append(entry)
            untouched.append(Untouched(pick=pick, reason="was deleted"))
            continue
        if _no_change(asset, entry.after, record, inside, overwrite=True):
            kept.append(entry)
            written.append(entry)
            continue
        now = asset.rating if record.target == "rating" else None
        reason = _no_change(asset, entry.after, record, inside, overwrite=overwrite)
        if now != entry.before and not overwrite:
            reason = f"is now {show(now)}; --overwrite would make it {entry.after}"
        if reason:
            untouched.append(Untouched(pick=pick, reason=reason))
            continue
        changes.append(dataclasses.replace(entry, before=now))
        kept.append(changes[-1])
    return Plan(
        record=dataclasses.replace(record, entries=tuple(kept)),
        changes=tuple(changes),
        untouched=tuple(untouched),
        written=tuple(written),
        resumed=True,
    )


def _inside(immich: Immich, record: Record) -> frozenset[str]:
    """Find the photos in the album of an interrupted publication.

    Raises:
        OpsError: when the album or tag has been deleted.
    """
    if record.target == "rating":
        return frozenset()
    there = {
        listed.id for listed in (immich.tags() if record.target == "tag" else immich.albums())
    }
    if record.object_id and record.object_id not in there:
        raise OpsError(
            f"the {record.target} {one_line(record.label)!r} of publication {record.number} no "
            "longer exists. Undo the publication, then publish again."
        )
    album_id = record.object_id or marked_album(immich, record)
    if record.target == "tag" or not album_id:
        return frozenset()
    return frozenset(asset.id for asset in immich.in_album(album_id))


def _label(target: Target, model: str, label: str) -> str:
    if target == "rating":
        if label:
            raise OpsError("--label needs --as tag or --as album; ratings have no name")
        return ""
    if target == "album":
        return composed(label) or f"Best by {model}"
    path = composed(label) or f"ai/best/{model}"
    if not all(part.strip() for part in path.split("/")):
        raise OpsError(f"--label is {path!r}; expected a tag's path such as ai/best/{model}")
    return path


def _no_change(
    asset: Asset,
    after: int | None,
    record: Record,
    inside: frozenset[str],
    *,
    overwrite: bool,
) -> str:
    """Return why a photo stays unchanged; empty: it changes."""
    if record.target == "tag":
        return "already has the tag" if record.label in asset.tags else ""
    if record.target == "album":
        return "is already in the album" if asset.id in inside else ""
    if asset.rating == after:
        return f"is already {after}"
    if asset.rating is not None and not overwrite:
        return f"keeps your {asset.rating}; --overwrite would make it {after}"
    return ""
