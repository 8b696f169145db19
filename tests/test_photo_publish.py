"""A model's best photos go into Immich when asked for, and out again as if never there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ops.bench_cli import app
from ops.errors import OpsError
from ops.photo_bench.answers import Journal, create
from ops.photo_bench.immich.api import Immich
from ops.photo_bench.immich.http import ImmichHttp
from ops.photo_bench.publish import text as publish_text
from ops.photo_bench.publish.picks import Pick, best, stars
from ops.photo_bench.publish.planning import Plan, plan
from ops.photo_bench.publish.record import Record, Target, alone, read_records
from ops.photo_bench.publish.to_immich import publish
from ops.photo_bench.publish.undo import choose, undo
from ops.photo_bench.results import Answer, Key, Method, ModelRun, Photo
from tests.immich_server import KEY, FakeAsset, FakeImmich, Fault, immich_server

VERSIONS = [(2, 2, 3), (2, 7, 5), (3, 0, 1), (3, 2, 2)]
MODEL = "qwen3vl-8b"
RATINGS = (None, 4, None, -1, None)
SCORES = (4.6, 4.4, 3.2, 2.5, 1.1)


class World:
    """An Immich with five photos, and a run about them."""

    def __init__(self, server: FakeImmich, run_dir: Path) -> None:
        self.server = server
        self.run_dir = run_dir
        self.assets = [
            FakeAsset(f"{n}.jpg", b"", rating=rating) for n, rating in enumerate(RATINGS)
        ]
        self.album = server.add_album("Trip", *self.assets)
        self.picks = tuple(
            Pick(asset_id=asset.id, name=asset.name, score=score)
            for asset, score in zip(self.assets, SCORES, strict=True)
        )

    def connect(self) -> Immich:
        return Immich(ImmichHttp(self.server.url, key=KEY, pause=lambda _: None))

    def plan(self, target: Target, **options: Any) -> Plan:
        with self.connect() as immich:
            return plan(immich, self.run_dir, self.picks, target=target, model=MODEL, **options)

    def publish(self, target: Target, **options: Any) -> dict[str, str]:
        with self.connect() as immich:
            planned = plan(immich, self.run_dir, self.picks, target=target, model=MODEL, **options)
            return {e.name: why for e, why in publish(immich, self.run_dir, planned)}

    def undo(self, number: int | None = None) -> dict[str, str]:
        record = choose(self.run_dir, number)
        with self.connect() as immich:
            return dict(undo(immich, self.run_dir, record))

    def state(self) -> Any:
        """All that Immich knows, but for ids."""
        return (
            [asset.rating for asset in self.assets],
            [self.server.tags_of(asset) for asset in self.assets],
            sorted(self.server.tags.values()),
            sorted(
                (a.name, tuple(self.server.assets[i].name for i in a.assets if self.has(i)))
                for a in self.server.albums.values()
            ),
        )

    def has(self, asset_id: str) -> bool:
        return asset_id in self.server.assets

    def delete(self, number: int) -> None:
        del self.server.assets[self.assets[number].id]

    def changes(self) -> int:
        return self.server.count(r"^(PUT|DELETE|POST (?!/search))")


@pytest.fixture(params=VERSIONS, ids=lambda version: ".".join(map(str, version)))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with immich_server(request.param) as server:
        yield World(server, tmp_path)


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[World]:
    with immich_server() as server:
        yield World(server, tmp_path)


TARGETS: tuple[Target, ...] = ("rating", "tag", "album")


@pytest.mark.parametrize("target", TARGETS)
def test_planning_changes_nothing_in_immich_and_nothing_here(
    newest: World, target: Target
) -> None:
    planned = newest.plan(target)
    assert planned.record.entries
    assert newest.changes() == 0
    assert list(newest.run_dir.iterdir()) == []


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_published_is_taken_back_without_a_trace(world: World, target: Target) -> None:
    before = world.state()
    assert set(world.publish(target).values()) == {""}
    assert world.state() != before
    world.undo()
    if world.server.version < (2, 6):
        for asset in world.assets:
            asset.rating = asset.rating or None  # 0 is unrated there.
    assert world.state() == before
    assert [record.state for record in read_records(world.run_dir)] == ["undone"]
    with pytest.raises(OpsError, match="all of it is taken back"):
        world.undo()


def test_ratings_are_the_scores_and_the_owners_own_stay(world: World) -> None:
    planned = world.plan("rating")
    world.publish("rating")
    assert [asset.rating for asset in world.assets] == [5, 4, 3, -1, 1]
    reasons = {each.pick.name: each.reason for each in planned.untouched}
    assert reasons == {
        "1.jpg": "has 4 already",
        "3.jpg": "keeps your -1; --overwrite would make it 3",
    }


def test_the_owners_ratings_change_when_asked_for_and_come_back(world: World) -> None:
    world.publish("rating", overwrite=True)
    assert [asset.rating for asset in world.assets] == [5, 4, 3, 3, 1]
    world.undo()
    assert [asset.rating or None for asset in world.assets] == list(RATINGS)


def test_a_tag_is_made_with_its_parents_and_goes_with_them(world: World) -> None:
    world.publish("tag")
    assert [world.server.tags_of(asset) for asset in world.assets] == [{f"ai/best/{MODEL}"}] * 5
    assert sorted(world.server.tags.values()) == ["ai", "ai/best", f"ai/best/{MODEL}"]
    world.undo()
    assert world.server.tags == {}


def test_a_tag_that_was_there_stays_and_so_do_its_photos(world: World) -> None:
    world.server.tags = {"t1": "ai", "t2": "ai/best"}
    world.server.tagged = {"t1": set(), "t2": set()}
    world.publish("tag", label="ai/best")
    world.undo()
    assert world.server.tags == {"t1": "ai", "t2": "ai/best"}
    world.server.tagged["t2"] = {world.assets[0].id}
    assert "0.jpg" not in world.publish("tag", label="ai/best")
    world.undo()
    assert world.server.tagged["t2"] == {world.assets[0].id}


def test_a_tag_that_the_owner_uses_since_stays(world: World) -> None:
    other = world.server.add(FakeAsset("other.jpg", b"", trashed=True))
    world.publish("tag")
    tag = next(each for each, value in world.server.tags.items() if value.endswith(MODEL))
    world.server.tagged[tag].add(other.id)
    said = world.undo()
    assert said[f"ai/best/{MODEL}"] == "the tag stays: other photos have it"
    assert said["ai"] == "the tag stays: there are others below it"
    assert world.server.tagged[tag] == {other.id}


def test_an_album_that_is_made_goes_only_when_nothing_else_is_in_it(world: World) -> None:
    other = world.server.add(FakeAsset("other.jpg", b""))
    world.publish("album", label="Best")
    album = world.server.album_named("Best")
    assert album is not None
    assert album.assets == [asset.id for asset in world.assets]
    album.assets.append(other.id)
    assert world.undo()["Best"] == "the album stays: 1 other photos are in it"
    assert album.assets == [other.id]


def test_an_album_that_was_there_gets_its_photos_and_keeps_its_own(world: World) -> None:
    album = world.server.add_album("Mine", world.assets[2])
    assert "2.jpg" not in world.publish("album", label="Mine")
    assert sorted(album.assets) == sorted(asset.id for asset in world.assets)
    world.undo()
    assert album.assets == [world.assets[2].id]
    empty = world.server.add_album("Empty")
    world.publish("album", label="Empty")
    world.undo()
    assert world.server.album_named("Empty") is empty
    assert empty.assets == []


@pytest.mark.parametrize(
    "place", [{"trashed": True}, {"visibility": "archive"}], ids=["in the bin", "archived"]
)
def test_an_album_or_a_tag_of_a_photo_that_is_not_shown_stays(
    world: World, place: dict[str, Any]
) -> None:
    """Immich counts no photo of the bin, and 2.x finds no archived one unless told to."""
    world.publish("album", label="Best")
    world.publish("tag")
    other = world.server.add(FakeAsset("other.jpg", b"", **place))
    album = world.server.album_named("Best")
    assert album is not None
    album.assets.append(other.id)
    tag = next(each for each, value in world.server.tags.items() if value.endswith(MODEL))
    world.server.tagged[tag].add(other.id)
    assert world.undo(1)["Best"].startswith("the album stays: ")
    assert album.assets == [other.id]
    assert world.undo(2)[f"ai/best/{MODEL}"] == "the tag stays: other photos have it"
    assert world.server.tags_of(other) == {f"ai/best/{MODEL}"}


def test_an_archived_photo_that_was_in_the_album_is_not_taken_out(world: World) -> None:
    world.assets[2].visibility = "archive"
    album = world.server.add_album("Mine", world.assets[2])
    assert "2.jpg" not in world.publish("album", label="Mine")
    world.undo()
    assert album.assets == [world.assets[2].id]


def test_what_the_owner_rated_since_is_not_taken_back(newest: World) -> None:
    newest.publish("rating")
    newest.assets[0].rating = 2
    newest.assets[2].rating = None
    said = newest.undo()
    assert said["0.jpg"] == "left at 2 stars: changed since"
    assert said["2.jpg"] == "is unrated already"
    assert [asset.rating for asset in newest.assets] == [2, 4, None, -1, None]


@pytest.mark.parametrize("target", TARGETS)
def test_photos_deleted_before_publishing_are_reported(world: World, target: Target) -> None:
    world.delete(0)
    world.assets[2].trashed = True
    planned = world.plan(target)
    deleted = [each.pick.name for each in planned.untouched if each.reason == "deleted meanwhile"]
    assert deleted == ["0.jpg", "2.jpg"]
    assert set(world.publish(target).values()) == {""}


@pytest.mark.parametrize("target", TARGETS)
def test_photos_deleted_after_planning_or_publishing_are_reported(
    world: World, target: Target
) -> None:
    with world.connect() as immich:
        planned = plan(immich, world.run_dir, world.picks, target=target, model=MODEL)
        world.delete(0)
        results = {e.name: why for e, why in publish(immich, world.run_dir, planned)}
    assert [name for name, why in results.items() if why] == ["0.jpg"]
    world.delete(2)
    world.undo()
    assert [world.assets[n].rating or None for n in (1, 3, 4)] == [4, -1, None]
    assert world.server.tags == {}
    assert [album.name for album in world.server.albums.values()] == ["Trip"]


def test_somebody_elses_photo_is_reported_and_the_others_go_on(world: World) -> None:
    world.assets[0].mine = False
    results = world.publish("rating")
    assert results["0.jpg"] == "deleted meanwhile, or not yours"
    assert results["2.jpg"] == ""


WHERE: dict[Target, tuple[str, ...]] = {
    "rating": ("PUT /assets", "PUT /assets", "PUT /assets"),
    "tag": ("PUT /tags$", "PUT /tags/.*/assets"),
    "album": ("POST /albums$", "PUT /albums/.*/assets"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before it", "only the answer is lost"])
@pytest.mark.parametrize("target", TARGETS)
def test_an_interrupted_publication_is_finished_by_doing_it_again(
    newest: World, target: Target, after: bool
) -> None:
    before = newest.state()
    for step in range(len(WHERE[target])):
        match = WHERE[target][step]
        # The attempts of one request, after those that come before it went well.
        skipped = WHERE[target][:step].count(match)
        interrupt(newest, match, skip=skipped, after=after)
        with pytest.raises(OpsError):
            newest.publish(target)
        newest.server.faults = []
        (record,) = read_records(newest.run_dir)
        assert record.state == "begun"
        newest.publish(target)
        assert [each.state for each in read_records(newest.run_dir)] == ["done"]
        albums = [album.name for album in newest.server.albums.values()]
        assert len(albums) == len(set(albums))
        newest.undo()
        assert newest.state() == before
        (newest.run_dir / "published-1.json").unlink()


def test_what_the_owner_rated_since_an_interruption_stays(world: World) -> None:
    """0.jpg is written and 2.jpg is not; the owner goes on with two of the three."""
    half_done(world)
    world.assets[2].rating = 1
    world.assets[4].rating = 2
    planned = world.plan("rating")
    assert [entry.name for entry in planned.written] == ["0.jpg"]
    assert planned.changes == ()
    assert {each.pick.name: each.reason for each in planned.untouched} == {
        "2.jpg": "is 1 stars by now; --overwrite would make it 3",
        "4.jpg": "is 2 stars by now; --overwrite would make it 1",
    }
    world.publish("rating")
    assert [asset.rating for asset in world.assets] == [5, 4, 1, -1, 2]
    assert [entry.name for entry in read_records(world.run_dir)[0].entries] == ["0.jpg"]
    # As publishing would have rated it: still the owner's own.
    world.assets[2].rating = 3
    world.undo()
    assert [asset.rating or None for asset in world.assets] == [None, 4, 3, -1, 2]


def test_what_the_owner_rated_since_an_interruption_changes_when_asked_for(newest: World) -> None:
    half_done(newest)
    newest.assets[0].rating = 2
    newest.assets[2].rating = 1
    newest.publish("rating", overwrite=True)
    assert [asset.rating for asset in newest.assets] == [5, 4, 3, -1, 1]
    newest.undo()
    assert [asset.rating for asset in newest.assets] == [2, 4, 1, -1, None]


def test_an_overwriting_publication_is_finished_only_with_overwrite(newest: World) -> None:
    half_done(newest, overwrite=True)
    newest.assets[4].rating = 4
    planned = newest.plan("rating")
    assert [entry.name for entry in planned.changes] == ["2.jpg"]
    assert {each.pick.name: each.reason for each in planned.untouched} == {
        "3.jpg": "keeps your -1; --overwrite would make it 3",
        "4.jpg": "is 4 stars by now; --overwrite would make it 1",
    }
    newest.assets[3].rating = None
    reasons = {each.pick.name: each.reason for each in newest.plan("rating").untouched}
    assert reasons["3.jpg"] == "is unrated by now; --overwrite would make it 3"
    newest.publish("rating", overwrite=True)
    assert [asset.rating for asset in newest.assets] == [5, 4, 3, 3, 1]
    newest.undo()
    assert [asset.rating for asset in newest.assets] == [None, 4, None, None, 4]


def test_of_an_interrupted_publication_nothing_may_be_left(newest: World) -> None:
    half_done(newest)
    for asset in newest.assets:
        asset.rating = 2
    assert newest.publish("rating") == {}
    assert [asset.rating for asset in newest.assets] == [2] * 5
    with pytest.raises(OpsError, match="all of it is taken back"):
        newest.undo()


def test_a_photo_that_comes_back_from_the_bin_is_taken_back_too(newest: World) -> None:
    before = newest.state()
    half_done(newest)
    newest.assets[0].trashed = True
    assert [each.reason for each in newest.plan("rating").untouched] == ["deleted meanwhile"]
    assert newest.publish("rating") == {"2.jpg": "", "4.jpg": ""}
    newest.assets[0].trashed = False
    newest.undo()
    assert newest.state() == before


def test_an_interrupted_publication_is_finished_where_it_was_begun(newest: World) -> None:
    half_done(newest)
    with immich_server() as elsewhere:
        elsewhere.assets = newest.server.assets
        newest.server, first = elsewhere, newest.server
        with pytest.raises(OpsError) as error:
            newest.publish("rating")
        assert str(error.value) == (
            f"publication 1 was begun at {first.url}, not at {elsewhere.url}; name that address, "
            "or undo it"
        )
        newest.undo()
    assert [asset.rating for asset in newest.assets] == list(RATINGS)


@pytest.mark.parametrize("target", ["tag", "album"])
def test_what_was_deleted_since_an_interruption_is_not_filled_again(
    newest: World, target: Target
) -> None:
    interrupt(newest, WHERE[target][1], skip=0, after=False)
    with pytest.raises(OpsError):
        newest.publish(target)
    newest.server.faults = []
    newest.server.tags = {}
    newest.server.albums = {}
    with pytest.raises(OpsError, match=f"the {target} '.*' of publication 1 is gone; undo it"):
        newest.publish(target)
    newest.undo()
    assert newest.publish(target) != {}


def half_done(world: World, **options: Any) -> None:
    """Publish ratings up to the first photo."""
    interrupt(world, "PUT /assets", skip=1, after=False)
    with pytest.raises(OpsError):
        world.publish("rating", **options)
    world.server.faults = []


def interrupt(world: World, match: str, *, skip: int, after: bool) -> None:
    world.server.faults = [
        Fault(match, 200, times=skip, body=b"[]", after=True),
        Fault(match, 500, times=4, after=after),
    ]


@pytest.mark.parametrize("target", TARGETS)
def test_an_interrupted_publication_can_be_taken_back(newest: World, target: Target) -> None:
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
def test_an_interrupted_undo_is_finished_by_doing_it_again(
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


@pytest.mark.parametrize("target", TARGETS)
def test_a_lost_answer_is_asked_for_again_without_harm(world: World, target: Target) -> None:
    """Each change is done and its answer lost once; the album's own making is sent once only."""
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


def test_what_was_before_is_written_before_the_first_change(newest: World) -> None:
    newest.server.faults = [Fault("PUT /assets", 400)]
    with pytest.raises(OpsError):
        newest.publish("rating")
    document = json.loads((newest.run_dir / "published-1.json").read_text())
    assert [each["before"] for each in document["entries"]] == [None, None, None]
    assert document["server"] == newest.server.url
    assert KEY not in json.dumps(document)


def test_nothing_is_changed_when_it_cannot_be_written_down(newest: World) -> None:
    planned = newest.plan("rating")
    with newest.connect() as immich, pytest.raises(OpsError, match="cannot be written"):
        list(publish(immich, newest.run_dir / "not there", planned))
    assert newest.changes() == 0


def test_another_publication_waits_for_an_interrupted_one(newest: World) -> None:
    newest.server.faults = [Fault("PUT /tags", 500, times=4)]
    with pytest.raises(OpsError):
        newest.publish("tag")
    with pytest.raises(OpsError, match=r"publication 1 .*interrupted; run it again as it was"):
        newest.publish("rating")
    newest.undo()
    newest.publish("rating")
    assert [each.number for each in read_records(newest.run_dir)] == [1, 2]


def test_publications_are_taken_back_one_by_one_the_latest_first(newest: World) -> None:
    before = newest.state()
    newest.publish("rating")
    newest.publish("tag")
    newest.publish("album")
    with pytest.raises(OpsError, match="--number is 9; published and not taken back: 1, 2, 3"):
        newest.undo(9)
    newest.undo(2)
    assert newest.server.tags == {}
    newest.undo()
    assert newest.server.album_named(f"Best by {MODEL}") is None
    newest.undo()
    assert newest.state() == before


def test_ratings_that_were_given_again_are_taken_back_the_latest_first(newest: World) -> None:
    newest.publish("rating")
    newest.picks = tuple(dataclasses.replace(pick, score=2.0) for pick in newest.picks[:1])
    newest.publish("rating", overwrite=True)
    newest.publish("tag")
    with pytest.raises(OpsError) as error:
        newest.undo(1)
    assert str(error.value) == (
        "--number is 1, but publication 2 rated some of its photos since; undo 2 first"
    )
    newest.undo(2)
    newest.undo(1)
    assert [asset.rating for asset in newest.assets] == list(RATINGS)


def test_ratings_of_other_photos_are_taken_back_in_any_order(newest: World) -> None:
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
def test_a_key_that_could_not_take_it_back_publishes_nothing(
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
        with pytest.raises(OpsError, match="publish as a tag or an album"):
            stars(score)


def test_the_best_are_picked_by_score_and_only_those_with_one() -> None:
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


def shown(show: Callable[[Console], None]) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        show(console)
    return capture.get()


def test_the_dry_run_shows_each_photo_before_and_after(newest: World) -> None:
    newest.picks = (
        dataclasses.replace(newest.picks[0], name="[red]a\nb\x1b[31m.jpg"),
        *newest.picks[1:],
    )
    text = shown(lambda console: publish_text.show_plan(console, newest.plan("rating")))
    assert "[red]a b?[31m.jpg" in text
    assert "\x1b" not in text
    row = next(line for line in text.splitlines() if "[red]a" in line)
    assert "unrated" in row
    assert "5 stars" in row
    assert "keeps your -1" in text
    assert f"tag ai/best/{MODEL}" in shown(
        lambda console: publish_text.show_plan(console, newest.plan("tag"))
    )


def _answered(model: str, number: int, score: float, method: Method, order: str = "") -> Answer:
    key = Key(
        model_sha256=f"sha256 of {model}",
        prompt_sha256=method,
        image_sha256=f"{number}",
        method=method,
        order=order,
    )
    return Answer(key=key, model=model, score=score)


def _ask(
    run_dir: Path,
    method: Method,
    answers: Sequence[Answer],
    *,
    scale: Sequence[float] = (1, 2, 3, 4, 5),
) -> None:
    """Let a session of a run have these answers, by a rubric of this scale."""
    models = [
        ModelRun(id=each, name=each, sha256=f"sha256 of {each}", context=1, quantisation="F32")
        for each in ("other", MODEL)
    ]
    with Journal(run_dir) as journal:
        journal.note(
            "session",
            at=1.0,
            method=method,
            prompt_sha256=method,
            prompt={},
            models=[dataclasses.asdict(each) for each in models],
            settings={},
            thumbnails=True,
            provenance={
                "command": "bench",
                "rubric": {"labels": [{"value": each} for each in scale]},
            },
        )
        for answer in answers:
            journal.answer(answer)


@pytest.fixture
def run_of(newest: World, tmp_path: Path) -> Path:
    """A run whose models score an Immich's photos the other way round."""
    run_dir = tmp_path / "run of models"
    create(run_dir, {"id": "r", "started_at": 1.0, "source": "album", "settings": {}})
    answers = []
    with (run_dir / "photos.jsonl").open("w") as photos:
        for number, (asset, score) in enumerate(zip(newest.assets, SCORES, strict=True)):
            photo = Photo(
                image_sha256=f"{number}", original_sha256="", name=asset.name, asset_id=asset.id
            )
            photos.write(json.dumps(dataclasses.asdict(photo)) + "\n")
            answers.append(_answered(MODEL, number, score, "score"))
            answers.append(_answered("other", number, 6 - score, "score"))
    _ask(run_dir, "score", answers)
    with (run_dir / "answers.jsonl").open("a") as torn:
        torn.write('{"mod')
    return run_dir


def command(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_show_do_and_take_back(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    before = newest.state()
    publishing = ("publish", run_of, "--model", MODEL, "--immich", newest.server.url, "--top", 2)
    command(*publishing)
    assert newest.state() == before
    command(*publishing, "--apply")
    assert [bool(newest.server.tags_of(asset)) for asset in newest.assets] == [True] * 2 + [
        False
    ] * 3
    command("undo", run_of)
    assert newest.state() == before
    with pytest.raises(OpsError, match=r"--model is 'x'; models of the run: other, qwen3vl-8b"):
        command("publish", run_of, "--model", "x", "--immich", newest.server.url)


def test_a_photo_of_several_anchors_has_their_mean(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    logits = ((3.0, 3.0), (5.0, 0.6), (4.0, 4.0))
    _ask(
        run_of,
        "anchored",
        [
            _answered(MODEL, number, logit, "anchored", f"1:{anchor}")
            for number, of_photo in enumerate(logits)
            for anchor, logit in enumerate(of_photo)
        ],
    )
    options = ("--model", MODEL, "--immich", newest.server.url)
    command("publish", run_of, *options, "--top", 2, "--apply")
    tagged = [asset.name for asset in newest.assets if newest.server.tags_of(asset)]
    assert tagged == ["0.jpg", "2.jpg"]
    with pytest.raises(OpsError, match="the scores of --method anchored are not on a scale"):
        command("publish", run_of, *options, "--as", "rating")
    assert "5 stars" in command("publish", run_of, *options, "--as", "rating", "--method", "score")


@pytest.mark.parametrize("scale", [(1, 2, 3), (0.1, 1.2, 4.5), (0, 5), (-1, 1, 5), (1, 10)])
def test_scores_of_a_rubric_with_another_scale_are_no_ratings(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch, scale: Sequence[float]
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    answers = [_answered(MODEL, number, 2.0, "rubric") for number in range(5)]
    _ask(run_of, "rubric", answers, scale=scale)
    options = ("publish", run_of, "--model", MODEL, "--immich", newest.server.url, "--as")
    with pytest.raises(OpsError) as error:
        command(*options, "rating")
    assert f"labels count {scale[0]:g} to {scale[-1]:g}; allowed: 1 to 5" in str(error.value)
    assert str(error.value).endswith("publish as a tag or an album")
    assert "2.00" in command(*options, "tag")
    # Each method has the rubric that it was last asked with.
    assert "5 stars" in command(*options, "rating", "--method", "score")
    _ask(run_of, "rubric", answers, scale=(1, 2.5, 5))
    assert "2 stars" in command(*options, "rating")


def test_the_dry_run_of_interrupted_ratings_says_where_they_stand(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    options = ("--model", MODEL, "--immich", newest.server.url, "--as", "rating")
    publishing = ("publish", run_of, *options)
    assert "nothing is changed yet; --apply does it" in command(*publishing)
    newest.server.faults = [
        Fault("PUT /assets", 200, body=b"[]", after=True),
        Fault("PUT /assets", 400),
    ]
    with pytest.raises(OpsError):
        command(*publishing, "--apply")
    newest.assets[4].rating = 2
    state = newest.state()
    text = command(*publishing)
    rows = {line.split()[1]: line for line in text.splitlines() if ".jpg" in line}
    assert "5 stars" in rows["0.jpg"]
    assert "written already" in rows["0.jpg"]
    assert "unrated" in rows["2.jpg"]
    assert "3 stars" in rows["2.jpg"]
    assert "unchanged" in rows["4.jpg"]
    assert (
        "publication 1 was interrupted: 1 photos are written already, 1 would still change, 1 stay"
        in " ".join(text.split())
    )
    assert newest.state() == state
    assert "changed 1 more photos" in command(*publishing, "--apply")
    assert [asset.rating for asset in newest.assets] == [5, 4, 3, -1, 2]


@pytest.mark.parametrize("target", ["tag", "album"])
def test_the_dry_run_tells_what_is_tagged_or_in_the_album_already(
    newest: World, target: Target
) -> None:
    interrupt(newest, WHERE[target][1], skip=0, after=True)
    with pytest.raises(OpsError):
        newest.publish(target)
    newest.server.faults = []
    planned = newest.plan(target)
    assert (len(planned.written), planned.changes) == (5, ())
    assert shown(lambda console: publish_text.show_plan(console, planned)).count("written") == 5
    assert newest.publish(target) == {}
    assert [record.state for record in read_records(newest.run_dir)] == ["done"]


def test_of_two_that_publish_from_one_run_the_second_is_refused(
    newest: World, run_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    with alone(run_of):
        for arguments in (
            ("publish", run_of, "--model", MODEL, "--immich", newest.server.url, "--apply"),
            ("undo", run_of),
        ):
            with pytest.raises(OpsError, match="another command publishes from"):
                command(*arguments)
    assert not any(map(newest.server.tags_of, newest.assets))


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
