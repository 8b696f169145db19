"""A model's best photos back into Immich: as ratings, a tag or an album."""

from __future__ import annotations

import dataclasses
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OpsError
from ops.photo_bench.immich.api import Asset, Immich
from ops.photo_bench.immich.http import GoneError
from ops.photo_bench.publish.record import Entry, Record, Target, read_records, write_record
from ops.photo_bench.results import Photo

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
"""What each way takes, undoing it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One of a model's best photos."""

    asset_id: str
    name: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """A photo that is not changed."""

    pick: Pick
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What publishing would change."""

    record: Record
    """Not written yet."""
    untouched: tuple[Untouched, ...]


def best(photos: Sequence[Photo], scores: Mapping[str, float], *, top: int) -> tuple[Pick, ...]:
    """Pick a model's best photos of an Immich album.

    Args:
        photos: The run's.
        scores: Image sha256 -> one model's score.
        top: How many.

    Raises:
        OpsError: when no photo is from Immich, or none has a score.
    """
    if not any(photo.asset_id for photo in photos):
        raise OpsError("the run's photos are not from Immich; there is nothing to publish to")
    picks = [
        Pick(asset_id=photo.asset_id, name=photo.name, score=scores[photo.image_sha256])
        for photo in photos
        if photo.asset_id and photo.failure is None and photo.image_sha256 in scores
    ]
    if not picks:
        raise OpsError("the model has no score for any photo; has it been asked?")
    return tuple(sorted(picks, key=lambda pick: (-pick.score, pick.asset_id))[:top])


def stars(score: float) -> int:
    """Map a score to Immich's 1 to 5 stars: to the nearest, halves up.

    Raises:
        OpsError: for a score of another scale.
    """
    if not 0.5 <= score <= 5.5:
        raise OpsError(
            f"a score is {score:g}, not on the scale of 1 to 5 stars; publish as a tag or an album"
        )
    return min(5, math.floor(score + 0.5))


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
    """Find what publishing changes; changes nothing.

    Args:
        immich: The server.
        run_dir: The run's directory, where earlier publications are.
        picks: The model's best.
        target: As what.
        model: The registry's id.
        label: The tag's path or the album's name; left out: one with the model's id.
        overwrite: Also change ratings that are there, which are the owner's.

    Raises:
        OpsError: when the key may not, the label is ambiguous, or an interrupted publication has
            to be finished or undone first.
    """
    immich.check_permissions(PERMISSIONS[target])
    label = _label(target, model, label)
    records = read_records(run_dir)
    for record in records:
        if record.state == "begun":
            if (record.target, record.model, record.label) != (target, model, label):
                raise OpsError(
                    f"publication {record.number} ({record.model} as {record.target}) was "
                    "interrupted; run it again as it was, or undo it"
                )
            return Plan(record=record, untouched=())
    record = Record(
        number=max((each.number for each in records), default=0) + 1,
        server=immich.url,
        target=target,
        model=model,
        label=label,
        entries=(),
    )
    inside: frozenset[str] = frozenset()
    if target == "tag":
        there = {tag.value for tag in immich.tags()}
        created = tuple(path for path in _with_parents(label) if path not in there)
        record = dataclasses.replace(record, created=created)
    elif target == "album":
        found = [album for album in immich.albums() if album.name == label]
        if len(found) > 1:
            raise OpsError(f"{len(found)} albums are called {label!r}; choose another name")
        if found:
            record = dataclasses.replace(record, object_id=found[0].id)
            inside = frozenset(each.id for each in immich.photos(album_id=found[0].id))
        else:
            mark = f"ops-bench-{secrets.token_hex(6)}"
            record = dataclasses.replace(record, created=(label,), mark=mark)
    entries, untouched = [], []
    for pick in picks:
        try:
            asset = immich.asset(pick.asset_id)
        except GoneError:
            untouched.append(Untouched(pick=pick, reason="deleted meanwhile"))
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
    return Plan(record=record, untouched=tuple(untouched))


def publish(immich: Immich, run_dir: Path, planned: Plan) -> Iterator[tuple[Entry, str]]:
    """Change Immich as planned; what was before is written first.

    Interrupted, it is finished by planning and publishing once more.

    Yields:
        Each photo with what happened to it: empty when it is changed, else why it is not.

    Raises:
        OpsError: when Immich cannot be reached, or the record cannot be written.
    """
    record = planned.record
    if not record.entries:
        return
    write_record(run_dir, record)
    if record.target == "rating":
        for entry in record.entries:
            try:
                immich.set_rating(entry.asset_id, entry.after)
            except GoneError:
                yield entry, "deleted meanwhile, or not yours"
            else:
                yield entry, ""
    else:
        if not record.object_id:
            record = dataclasses.replace(record, object_id=_made(immich, record))
            write_record(run_dir, record)
        ids = [entry.asset_id for entry in record.entries]
        add = immich.add_tag if record.target == "tag" else immich.add_to_album
        refused = add(record.object_id, ids)
        for entry in record.entries:
            why = refused.get(entry.asset_id, "")
            yield entry, "" if why in ("", "duplicate") else f"refused ({why})"
    write_record(run_dir, dataclasses.replace(record, state="done"))


def _made(immich: Immich, record: Record) -> str:
    """Make the tag or the album; one that an interrupted try made is found again."""
    if record.target == "tag":
        return immich.make_tag(record.label).id
    for album in immich.albums():
        if record.mark in album.description:
            return album.id
    description = f"The photos that {record.model} likes best. ({record.mark})"
    return immich.make_album(record.label, description).id


def _label(target: Target, model: str, label: str) -> str:
    if target == "rating":
        if label:
            raise OpsError("--label goes with tag or album; ratings have no name")
        return ""
    if target == "album":
        return label or f"Best by {model}"
    path = label or f"ai/best/{model}"
    if not all(part.strip() for part in path.split("/")):
        raise OpsError(f"--label is {path!r}; allowed: a tag's path such as ai/best/{model}")
    return path


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _no_change(
    asset: Asset,
    after: int | None,
    record: Record,
    inside: frozenset[str],
    *,
    overwrite: bool,
) -> str:
    """Say why a photo needs no change, or must not be changed; empty: it is changed."""
    if record.target == "tag":
        return "has the tag already" if record.label in asset.tags else ""
    if record.target == "album":
        return "is in the album already" if asset.id in inside else ""
    if asset.rating == after:
        return f"has {after} already"
    if asset.rating is not None and not overwrite:
        return f"keeps your {asset.rating}; --overwrite would make it {after}"
    return ""
