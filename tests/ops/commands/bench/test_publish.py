"""Publishing a model's best photos to Immich, and undoing it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ops.commands.bench.publish.picks import best, stars
from ops.commands.bench.publish.planning import plan
from ops.commands.bench.publish.record import Record, Target, read_records
from ops.commands.bench.publish.to_immich import publish
from ops.commands.bench.results import Photo
from ops.errors import OpsError
from tests.fakes.immich_server import KEY, FakeAsset, Fault
from tests.ops.commands.bench.immich_world import (
    MODEL,
    RATINGS,
    TARGETS,
    World,
)


@pytest.mark.parametrize("target", TARGETS)
def test_planning_changes_neither_immich_nor_the_run(newest: World, target: Target) -> None:
    planned = newest.plan(target)
    assert planned.record.entries
    assert newest.changes() == 0
    assert list(newest.run_dir.iterdir()) == []


@pytest.mark.parametrize("target", TARGETS)
def test_undo_restores_immich_completely(world: World, target: Target) -> None:
    before = world.state()
    assert set(world.publish(target).values()) == {""}
    assert world.state() != before
    world.undo()
    if world.server.version < (2, 6):
        for asset in world.assets:
            asset.rating = asset.rating or None  # 0 is unrated there.
    assert world.state() == before
    assert [record.state for record in read_records(world.run_dir)] == ["undone"]
    with pytest.raises(OpsError, match="no publication left to undo"):
        world.undo()


def test_scores_become_ratings_and_the_owners_ratings_stay(world: World) -> None:
    planned = world.plan("rating")
    world.publish("rating")
    assert [asset.rating for asset in world.assets] == [5, 4, 3, -1, 1]
    reasons = {photo.pick.name: photo.reason for photo in planned.untouched}
    assert reasons == {
        "1.jpg": "is already 4",
        "3.jpg": "keeps your -1; --overwrite would make it 3",
    }


def test_overwrite_changes_the_owners_ratings_and_undo_restores_them(world: World) -> None:
    world.publish("rating", overwrite=True)
    assert [asset.rating for asset in world.assets] == [5, 4, 3, 3, 1]
    world.undo()
    assert [asset.rating or None for asset in world.assets] == list(RATINGS)


def test_a_new_tag_and_its_parents_are_removed_by_undo(world: World) -> None:
    world.publish("tag")
    assert [world.server.tags_of(asset) for asset in world.assets] == [{f"ai/best/{MODEL}"}] * 5
    assert sorted(world.server.tags.values()) == ["ai", "ai/best", f"ai/best/{MODEL}"]
    world.undo()
    assert world.server.tags == {}


def test_an_existing_tag_and_its_photos_stay(world: World) -> None:
    world.server.tags = {"t1": "ai", "t2": "ai/best"}
    world.server.tagged = {"t1": set(), "t2": set()}
    world.publish("tag", label="ai/best")
    world.undo()
    assert world.server.tags == {"t1": "ai", "t2": "ai/best"}
    world.server.tagged["t2"] = {world.assets[0].id}
    assert "0.jpg" not in world.publish("tag", label="ai/best")
    world.undo()
    assert world.server.tagged["t2"] == {world.assets[0].id}


def test_a_tag_that_the_owner_used_since_stays(world: World) -> None:
    other_asset = world.server.add(FakeAsset("other.jpg", b"", trashed=True))
    world.publish("tag")
    tag = next(tag for tag, value in world.server.tags.items() if value.endswith(MODEL))
    world.server.tagged[tag].add(other_asset.id)
    outcomes = world.undo()
    assert outcomes[f"ai/best/{MODEL}"] == "kept the tag: other photos have it"
    assert outcomes["ai"] == "kept the tag: it has tags below it"
    assert world.server.tagged[tag] == {other_asset.id}


def test_a_new_album_is_removed_only_if_it_has_no_other_photo(world: World) -> None:
    other_asset = world.server.add(FakeAsset("other.jpg", b""))
    world.publish("album", label="Best")
    album = world.server.album_named("Best")
    assert album is not None
    assert album.assets == [asset.id for asset in world.assets]
    album.assets.append(other_asset.id)
    assert world.undo()["Best"] == "kept the album: 1 other photo in it"
    assert album.assets == [other_asset.id]


def test_an_existing_album_gets_the_photos_and_keeps_its_own(world: World) -> None:
    album = world.server.add_album("Mine", world.assets[2])
    assert "2.jpg" not in world.publish("album", label="Mine")
    assert sorted(album.assets) == sorted(asset.id for asset in world.assets)
    world.undo()
    assert album.assets == [world.assets[2].id]
    empty = world.server.add_album("Gru\u0308n")
    world.publish("album", label="Gr\u00fcn")
    world.undo()
    assert world.server.album_named("Gru\u0308n") is empty
    assert empty.assets == []


@pytest.mark.parametrize(
    "place", [{"trashed": True}, {"visibility": "archive"}], ids=["in the bin", "archived"]
)
def test_an_album_or_tag_with_a_hidden_photo_stays(world: World, place: dict[str, Any]) -> None:
    """Immich counts no deleted photo, and 2.x finds archived ones only if asked to."""
    world.publish("album", label="Best")
    world.publish("tag")
    other_asset = world.server.add(FakeAsset("other.jpg", b"", **place))
    album = world.server.album_named("Best")
    assert album is not None
    album.assets.append(other_asset.id)
    tag = next(tag for tag, value in world.server.tags.items() if value.endswith(MODEL))
    world.server.tagged[tag].add(other_asset.id)
    assert world.undo(1)["Best"].startswith("kept the album: ")
    assert album.assets == [other_asset.id]
    assert world.undo(2)[f"ai/best/{MODEL}"] == "kept the tag: other photos have it"
    assert world.server.tags_of(other_asset) == {f"ai/best/{MODEL}"}


def test_undo_keeps_an_archived_photo_that_was_in_the_album(world: World) -> None:
    world.assets[2].visibility = "archive"
    album = world.server.add_album("Mine", world.assets[2])
    assert "2.jpg" not in world.publish("album", label="Mine")
    world.undo()
    assert album.assets == [world.assets[2].id]


def test_undo_keeps_ratings_that_the_owner_changed_since(newest: World) -> None:
    newest.publish("rating")
    newest.assets[0].rating = 2
    newest.assets[2].rating = None
    outcomes = newest.undo()
    assert outcomes["0.jpg"] == "stays at 2 stars: you changed it"
    assert outcomes["2.jpg"] == "is already unrated"
    assert [asset.rating for asset in newest.assets] == [2, 4, None, -1, None]


@pytest.mark.parametrize("target", TARGETS)
def test_photos_deleted_before_publishing_are_reported(world: World, target: Target) -> None:
    world.delete(0)
    world.assets[2].trashed = True
    planned = world.plan(target)
    deleted = [photo.pick.name for photo in planned.untouched if photo.reason == "was deleted"]
    assert deleted == ["0.jpg", "2.jpg"]
    assert set(world.publish(target).values()) == {""}


@pytest.mark.parametrize("target", TARGETS)
def test_photos_deleted_after_planning_or_publishing_are_reported(
    world: World, target: Target
) -> None:
    with world.connect() as immich:
        planned = plan(immich, world.run_dir, world.picks, target=target, model=MODEL)
        world.delete(0)
        results = {entry.name: why for entry, why in publish(immich, world.run_dir, planned)}
    assert [name for name, why in results.items() if why] == ["0.jpg"]
    world.delete(2)
    world.undo()
    assert [world.assets[n].rating or None for n in (1, 3, 4)] == [4, -1, None]
    assert world.server.tags == {}
    assert [album.name for album in world.server.albums.values()] == ["Trip"]


def test_another_users_photo_is_reported_and_the_others_are_published(world: World) -> None:
    world.assets[0].mine = False
    results = world.publish("rating")
    assert results["0.jpg"] == "was deleted, or is not yours"
    assert results["2.jpg"] == ""


@pytest.mark.parametrize("target", TARGETS)
def test_a_request_with_a_lost_answer_is_repeated_safely(world: World, target: Target) -> None:
    """Each change is made and its answer lost once; the album is created once only."""
    before = world.state()
    for verb in ("PUT", "DELETE"):
        world.server.faults.append(Fault(f"^{verb} ", 502, times=1, after=True))
    world.server.faults.append(Fault("^DELETE /(tags|albums)/[^/]+$", 502, times=1, after=True))
    world.publish(target)
    world.undo()
    for asset in world.assets:
        asset.rating = asset.rating or None
    assert world.state() == before
    assert [record.state for record in read_records(world.run_dir)] == ["undone"]


def test_the_earlier_state_is_recorded_before_the_first_change(newest: World) -> None:
    newest.server.faults = [Fault("PUT /assets", 400)]
    with pytest.raises(OpsError):
        newest.publish("rating")
    document = json.loads((newest.run_dir / "published-1.json").read_text())
    assert [entry["before"] for entry in document["entries"]] == [None, None, None]
    assert document["server"] == newest.server.url
    assert KEY not in json.dumps(document)


def test_nothing_is_changed_if_the_record_cannot_be_written(newest: World) -> None:
    planned = newest.plan("rating")
    with newest.connect() as immich, pytest.raises(OpsError, match="cannot be written"):
        list(publish(immich, newest.run_dir / "not there", planned))
    assert newest.changes() == 0


def test_an_interrupted_publication_blocks_another(newest: World) -> None:
    newest.server.faults = [Fault("PUT /tags", 500, times=4)]
    with pytest.raises(OpsError):
        newest.publish("tag")
    with pytest.raises(
        OpsError, match=r"publication 1 .*interrupted\. Repeat it with the same options"
    ):
        newest.publish("rating")
    newest.undo()
    newest.publish("rating")
    assert [record.number for record in read_records(newest.run_dir)] == [1, 2]


def test_undo_takes_the_latest_publication_first(newest: World) -> None:
    before = newest.state()
    newest.publish("rating")
    newest.publish("tag")
    newest.publish("album")
    with pytest.raises(OpsError, match=r"--number is 9; expected .*: 1, 2, 3"):
        newest.undo(9)
    newest.undo(2)
    assert newest.server.tags == {}
    newest.undo()
    assert newest.server.album_named(f"Best by {MODEL}") is None
    newest.undo()
    assert newest.state() == before


def test_ratings_of_the_same_photos_are_undone_latest_first(newest: World) -> None:
    newest.publish("rating")
    newest.picks = tuple(dataclasses.replace(pick, score=2.0) for pick in newest.picks[:1])
    newest.publish("rating", overwrite=True)
    newest.publish("tag")
    with pytest.raises(OpsError) as error:
        newest.undo(1)
    assert str(error.value) == (
        "--number is 1, but publication 2 has rated some of its photos since. Undo 2 first."
    )
    newest.undo(2)
    newest.undo(1)
    assert [asset.rating for asset in newest.assets] == list(RATINGS)


def test_ratings_of_different_photos_are_undone_in_any_order(newest: World) -> None:
    picks = newest.picks
    newest.picks = picks[:1]
    newest.publish("rating")
    newest.picks = picks[2:3]
    newest.publish("rating")
    newest.undo(1)
    assert [asset.rating for asset in newest.assets] == [None, 4, 3, -1, None]


def test_publishing_twice_changes_nothing_more(newest: World) -> None:
    newest.publish("tag")
    changes = newest.changes()
    assert newest.publish("tag") == {}
    assert newest.changes() == changes
    assert len(read_records(newest.run_dir)) == 1


@pytest.mark.parametrize(
    ("target", "permission"),
    [("rating", "asset.update"), ("tag", "tag.delete"), ("album", "album.delete")],
)
def test_a_key_without_the_permissions_of_undo_publishes_nothing(
    world: World, target: Target, permission: str
) -> None:
    world.server.permissions.remove(permission)
    with pytest.raises(OpsError, match=f"lacks {permission}"):
        world.publish(target)
    assert world.changes() == 0


def test_an_album_of_an_ambiguous_name_is_refused(newest: World) -> None:
    newest.server.add_album("Best")
    newest.server.add_album("Best")
    with pytest.raises(OpsError, match="2 albums are called 'Best'"):
        newest.publish("album", label="Best")


@pytest.mark.parametrize(
    ("score", "rating"), [(0.5, 1), (1.0, 1), (1.49, 1), (1.5, 2), (3.5, 4), (4.49, 4), (5.0, 5)]
)
def test_a_score_becomes_the_nearest_rating(score: float, rating: int) -> None:
    assert stars(score) == rating


def test_scores_of_another_scale_are_no_ratings() -> None:
    for score in (-1.2, 0.2, 7.0, float("nan")):
        with pytest.raises(OpsError, match="Use --as tag or --as album"):
            stars(score)


def test_the_best_photos_are_picked_by_score() -> None:
    photos = [
        Photo(image_sha256=f"{n}", original_sha256="", name=f"{n}", asset_id=f"a{n}")
        for n in range(6)
    ]
    photos[5] = dataclasses.replace(photos[5], failure="image_unreadable", image_sha256="")
    scores = {"0": 2.0, "1": 4.0, "2": 3.0, "3": 4.0}
    picked = best(photos, scores, top=3)
    assert [pick.asset_id for pick in picked] == ["a1", "a3", "a2"]
    with pytest.raises(OpsError, match="no score for any photo"):
        best(photos, {}, top=3)
    folder = [dataclasses.replace(photo, asset_id=None) for photo in photos]
    with pytest.raises(OpsError, match="not from Immich"):
        best(folder, scores, top=3)


def test_a_record_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "published-1.json").write_text("{}")
    (tmp_path / "published-x.json").write_text("something else")
    with pytest.raises(OpsError, match=r"published-1\.json cannot be read"):
        read_records(tmp_path)


def test_a_record_is_read_as_it_was_written(newest: World) -> None:
    newest.publish("album")
    (record,) = read_records(newest.run_dir)
    assert isinstance(record, Record)
    assert record.created == (f"Best by {MODEL}",)
    assert [entry.name for entry in record.entries] == [f"{n}.jpg" for n in range(5)]
