"""Finishing an interrupted publication, and an interrupted undo."""

from __future__ import annotations

import pytest

from ops.commands.bench.publish.record import Target, read_records
from ops.errors import OpsError
from tests.fakes.immich_server import Fault, immich_server
from tests.ops.commands.bench.immich_world import (
    RATINGS,
    TARGETS,
    WHERE,
    World,
    half_done,
    interrupt,
)


@pytest.mark.parametrize("after", [False, True], ids=["before it", "only the answer is lost"])
@pytest.mark.parametrize("target", TARGETS)
def test_publishing_again_finishes_an_interrupted_publication(
    newest: World, target: Target, after: bool
) -> None:
    before = newest.state()
    for step in range(len(WHERE[target])):
        match = WHERE[target][step]
        # All attempts of one request fail, after the earlier requests succeeded.
        skipped = WHERE[target][:step].count(match)
        interrupt(newest, match, skip=skipped, after=after)
        with pytest.raises(OpsError):
            newest.publish(target)
        newest.server.faults = []
        (record,) = read_records(newest.run_dir)
        assert record.state == "begun"
        newest.publish(target)
        assert [record.state for record in read_records(newest.run_dir)] == ["done"]
        albums = [album.name for album in newest.server.albums.values()]
        assert len(albums) == len(set(albums))
        newest.undo()
        assert newest.state() == before
        (newest.run_dir / "published-1.json").unlink()


def test_ratings_that_the_owner_gave_after_the_interruption_stay(world: World) -> None:
    """0.jpg is written and 2.jpg is not; then the owner rates two of the three."""
    half_done(world)
    world.assets[2].rating = 1
    world.assets[4].rating = 2
    planned = world.plan("rating")
    assert [entry.name for entry in planned.written] == ["0.jpg"]
    assert planned.changes == ()
    assert {photo.pick.name: photo.reason for photo in planned.untouched} == {
        "2.jpg": "is now 1 star; --overwrite would make it 3",
        "4.jpg": "is now 2 stars; --overwrite would make it 1",
    }
    world.publish("rating")
    assert [asset.rating for asset in world.assets] == [5, 4, 1, -1, 2]
    assert [entry.name for entry in read_records(world.run_dir)[0].entries] == ["0.jpg"]
    # The rating that publishing would give, but the owner's.
    world.assets[2].rating = 3
    world.undo()
    assert [asset.rating or None for asset in world.assets] == [None, 4, 3, -1, 2]


def test_overwrite_changes_ratings_that_the_owner_gave_after_the_interruption(
    newest: World,
) -> None:
    half_done(newest)
    newest.assets[0].rating = 2
    newest.assets[2].rating = 1
    newest.publish("rating", overwrite=True)
    assert [asset.rating for asset in newest.assets] == [5, 4, 3, -1, 1]
    newest.undo()
    assert [asset.rating for asset in newest.assets] == [2, 4, 1, -1, None]


def test_a_publication_with_overwrite_is_finished_only_with_overwrite(newest: World) -> None:
    half_done(newest, overwrite=True)
    newest.assets[4].rating = 4
    planned = newest.plan("rating")
    assert [entry.name for entry in planned.changes] == ["2.jpg"]
    assert {photo.pick.name: photo.reason for photo in planned.untouched} == {
        "3.jpg": "keeps your -1; --overwrite would make it 3",
        "4.jpg": "is now 4 stars; --overwrite would make it 1",
    }
    newest.assets[3].rating = None
    reasons = {photo.pick.name: photo.reason for photo in newest.plan("rating").untouched}
    assert reasons["3.jpg"] == "is now unrated; --overwrite would make it 3"
    newest.publish("rating", overwrite=True)
    assert [asset.rating for asset in newest.assets] == [5, 4, 3, 3, 1]
    newest.undo()
    assert [asset.rating for asset in newest.assets] == [None, 4, None, None, 4]


def test_an_interrupted_publication_with_nothing_left_to_write_is_finished(newest: World) -> None:
    half_done(newest)
    for asset in newest.assets:
        asset.rating = 2
    assert newest.publish("rating") == {}
    assert [asset.rating for asset in newest.assets] == [2] * 5
    with pytest.raises(OpsError, match="no publication left to undo"):
        newest.undo()


def test_undo_includes_a_photo_that_was_restored_from_the_bin(newest: World) -> None:
    before = newest.state()
    half_done(newest)
    newest.assets[0].trashed = True
    assert [photo.reason for photo in newest.plan("rating").untouched] == ["was deleted"]
    assert newest.publish("rating") == {"2.jpg": "", "4.jpg": ""}
    newest.assets[0].trashed = False
    newest.undo()
    assert newest.state() == before


def test_an_interrupted_publication_is_finished_only_at_its_own_server(newest: World) -> None:
    half_done(newest)
    with immich_server() as elsewhere:
        elsewhere.assets = newest.server.assets
        newest.server, first = elsewhere, newest.server
        with pytest.raises(OpsError) as error:
            newest.publish("rating")
        assert str(error.value) == (
            f"--immich is {elsewhere.url}; expected {first.url}, where publication 1 was started. "
            "Pass that address, or undo the publication."
        )
        newest.undo()
    assert [asset.rating for asset in newest.assets] == list(RATINGS)


@pytest.mark.parametrize("target", ["tag", "album"])
def test_a_tag_or_album_that_was_deleted_after_the_interruption_is_not_filled(
    newest: World, target: Target
) -> None:
    interrupt(newest, WHERE[target][1], skip=0, after=False)
    with pytest.raises(OpsError):
        newest.publish(target)
    newest.server.faults = []
    newest.server.tags = {}
    newest.server.albums = {}
    with pytest.raises(OpsError, match=f"the {target} '.*' of publication 1 no longer exists"):
        newest.publish(target)
    newest.undo()
    assert newest.publish(target) != {}


@pytest.mark.parametrize("target", TARGETS)
def test_an_interrupted_publication_can_be_undone(newest: World, target: Target) -> None:
    before = newest.state()
    for match in WHERE[target]:
        newest.server.faults = [Fault(match, 500, times=4, after=True)]
        with pytest.raises(OpsError):
            newest.publish(target)
        newest.server.faults = []
        newest.undo()
        assert newest.state() == before


@pytest.mark.parametrize("after", [False, True], ids=["before it", "only the answer is lost"])
@pytest.mark.parametrize("target", TARGETS)
def test_undo_again_finishes_an_interrupted_undo(
    newest: World, target: Target, after: bool
) -> None:
    where: dict[Target, str] = {
        "rating": "PUT /assets",
        "tag": "DELETE /tags",
        "album": "DELETE /albums",
    }
    before = newest.state()
    for skip in range(2):
        newest.publish(target)
        newest.server.faults = [
            Fault(where[target], 200, times=skip, body=b"[]", after=True),
            Fault(where[target], 500, times=4, after=after),
        ]
        with pytest.raises(OpsError):
            newest.undo()
        newest.server.faults = []
        newest.undo()
        assert newest.state() == before
