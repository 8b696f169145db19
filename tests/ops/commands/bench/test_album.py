"""The photos of a run: drawn with a seed, shuffled, prepared once, and kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ops.commands.bench.album.bursts import Shot, number_bursts
from ops.commands.bench.album.collect import collect
from ops.commands.bench.album.draw import draw, without_duplicates
from ops.commands.bench.album.folder import Folder
from ops.commands.bench.album.immich_album import ImmichAlbum
from ops.commands.bench.album.source import Candidate, Original
from ops.commands.bench.answers import read_album, read_photos
from ops.commands.bench.jsonl import write_whole
from ops.commands.bench.results import Photo
from ops.errors import OpsError
from ops.immich.api import Immich
from ops.immich.http import ImmichHttp
from ops.report.terminal import Say
from tests.fakes.immich_server import KEY, FakeAsset, Fault, immich_server
from tests.ops.commands.bench.photo_files import encoded, installed_photos, jpeg, jpeg_photo, photo


@dataclasses.dataclass
class Shelf:
    """A source in memory that counts its reads and stops after `stop_after` of them."""

    contents: dict[str, bytes]
    judged: dict[str, dict[str, object]] = dataclasses.field(default_factory=dict)
    stop_after: int | None = None
    read_ids: list[str] = dataclasses.field(default_factory=list)
    title: str = "the shelf"

    def candidates(self, say: Say) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(
                id=name,
                name=name,
                original=hashlib.sha256(content).hexdigest(),
                **self.judged.get(name, {}),  # type: ignore[arg-type]
            )
            for name, content in self.contents.items()
        )

    def read(self, drawn: Sequence[Candidate]) -> Iterator[Original]:
        for number, candidate in enumerate(drawn):
            if number == self.stop_after:
                raise OpsError("the source stops")
            self.read_ids.append(candidate.id)
            yield Original(content=self.contents[candidate.id])


def shelf(number: int) -> Shelf:
    return Shelf({f"{n:03}.jpg": jpeg_photo(n) for n in range(number)})


def quiet(_: str) -> None:
    pass


def candidate(number: int, **judged: object) -> Candidate:
    return Candidate(id=f"{number:04}", name=f"{number}", original=f"{number}", **judged)  # type: ignore[arg-type]


def test_a_run_keeps_its_photos_and_the_images_that_are_sent(tmp_path: Path) -> None:
    source = shelf(5)
    photos = collect(tmp_path / "run", source, say=quiet)
    assert sorted(photo.name for photo in photos) == sorted(source.contents)
    for prepared in photos:
        sent = (tmp_path / "run" / "images" / f"{prepared.image_sha256}.jpg").read_bytes()
        assert hashlib.sha256(sent).hexdigest() == prepared.image_sha256
        assert (
            prepared.original_sha256 == hashlib.sha256(source.contents[prepared.name]).hexdigest()
        )
        assert (prepared.width, prepared.height) == (96, 64)
    assert read_photos(tmp_path / "run") == photos
    lines = (tmp_path / "run" / "photos.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == [photo.name for photo in photos]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "album.json",
        "images",
        "photos.jsonl",
        "prepared.jsonl",
    ]


def test_the_albums_share_of_favourites_is_kept_if_favourites_decide_the_draw(
    tmp_path: Path,
) -> None:
    source = shelf(10)
    source.judged = {name: {"favourite": name < "002"} for name in source.contents}
    collect(tmp_path / "some", source, sample=4, say=quiet)
    collect(tmp_path / "all", source, sample=10, say=quiet)
    assert read_album(tmp_path / "some")["favourite_share"] == 0.2
    assert read_album(tmp_path / "all")["favourite_share"] is None
    assert "LANCZOS" in read_album(tmp_path / "some")["resize"]


@pytest.mark.parametrize(
    ("judged", "share"),
    [
        ({"favourite": True}, 1.0),
        ({"favourite": True, "rating": 4}, None),
        ({"rating": 4}, None),
        ({}, None),
        ({"favourite": False}, None),
    ],
)
def test_no_share_of_favourites_is_kept_if_ratings_or_chance_decide_the_draw(
    tmp_path: Path, judged: dict[str, object], share: float | None
) -> None:
    """As many ratings as favourites: `draw` uses the ratings."""
    source = shelf(10)
    source.judged = dict.fromkeys(source.contents, judged)
    collect(tmp_path / "run", source, sample=4, say=quiet)
    assert read_album(tmp_path / "run")["favourite_share"] == share


@pytest.mark.parametrize("rated", [0, 1, 2, 19, 20, 21, 60])
@pytest.mark.parametrize("favourites", [0, 1, 2, 20, 55])
def test_the_share_of_favourites_is_kept_exactly_if_draw_used_favourites(
    tmp_path: Path, favourites: int, rated: int
) -> None:
    """With one rating only, `draw` by ratings takes as many rated photos as fit."""
    source = shelf(60)
    names = list(source.contents)
    source.judged = {
        name: {
            "favourite": place < favourites,
            "rating": 3 if place >= 60 - rated else None,
        }
        for place, name in enumerate(names)
    }
    photos = collect(tmp_path / "run", source, sample=20, say=quiet)
    kept = read_album(tmp_path / "run")["favourite_share"]
    by_favourites = sum(photo.favourite is True for photo in photos) == max(
        min(10, favourites), 20 - (60 - favourites)
    )
    by_ratings = sum(photo.rating is not None for photo in photos) == min(20, rated)
    if kept is None:
        assert by_ratings
    else:
        assert kept == favourites / 60
        assert by_favourites


def test_only_the_owner_may_read_the_images(tmp_path: Path) -> None:
    collect(tmp_path / "run", shelf(1), say=quiet)
    assert (tmp_path / "run" / "images").stat().st_mode & 0o077 == 0


def test_the_order_depends_on_the_seed_and_not_on_the_source(tmp_path: Path) -> None:
    orders = []
    for run, seed in (("a", 1), ("b", 1), ("c", 2)):
        source = shelf(20)
        if run == "b":
            source.contents = dict(reversed(source.contents.items()))
        orders.append(
            [photo.name for photo in collect(tmp_path / run, source, seed=seed, say=quiet)]
        )
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_a_finished_collection_is_read_without_the_source(tmp_path: Path) -> None:
    source = shelf(4)
    photos = collect(tmp_path, source, say=quiet)
    again = Shelf({})
    assert collect(tmp_path, again, say=quiet) == photos
    assert again.read_ids == []


def test_a_larger_sample_appends_new_photos(tmp_path: Path) -> None:
    source = shelf(30)
    source.judged = {name: {"favourite": name < "010"} for name in source.contents}
    few = collect(tmp_path, source, sample=8, say=quiet)
    source.judged = {}
    source.read_ids.clear()
    many = collect(tmp_path, source, sample=20, say=quiet)
    assert many[:8] == few
    assert len({photo.name for photo in many}) == 20
    assert sorted(source.read_ids) == sorted(photo.name for photo in many[8:])
    assert (read_album(tmp_path)["drawn"], read_album(tmp_path)["sample"]) == (20, 20)
    for smaller in (None, 8, 20):
        assert collect(tmp_path, Shelf({}), sample=smaller, say=quiet) == many


def test_a_grown_sample_is_the_one_that_is_drawn_at_once(tmp_path: Path) -> None:
    source = shelf(30)
    source.judged = {name: {"favourite": name < "010"} for name in source.contents}
    collect(tmp_path / "grown", source, sample=8, say=quiet)
    grown = collect(tmp_path / "grown", source, sample=20, say=quiet)
    at_once = collect(tmp_path / "at once", source, sample=20, say=quiet)
    assert {photo.name for photo in grown} == {photo.name for photo in at_once}
    assert sum(photo.favourite is True for photo in grown[8:]) == 6
    assert read_album(tmp_path / "grown") == read_album(tmp_path / "at once")


def test_a_larger_sample_takes_bursts_over_old_and_new_photos(tmp_path: Path) -> None:
    source = shelf(12)
    source.judged = {
        name: {"taken_at": 1000.0 * place} for place, name in enumerate(source.contents)
    }
    few = collect(tmp_path, source, sample=4, say=quiet)
    times = {photo.name: photo.taken_at for photo in few}
    source.judged = {
        name: {"taken_at": times.get(name, few[0].taken_at)} for name in source.contents
    }
    many = collect(tmp_path, source, sample=12, say=quiet)
    assert {photo.burst for photo in many if photo.taken_at == few[0].taken_at} == {few[0].burst}
    assert len({photo.burst for photo in many}) == 4


def test_an_album_that_shrank_removes_no_photo_from_a_run(tmp_path: Path) -> None:
    source = shelf(20)
    few = collect(tmp_path, source, sample=12, say=quiet)
    gone = shelf(5)
    many = collect(tmp_path, gone, sample=15, say=quiet)
    assert many == few


@pytest.mark.parametrize("written", ["photos.jsonl", "album.json"])
def test_a_larger_sample_that_was_killed_during_the_write_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    class KilledError(Exception):
        pass

    def killed(path: Path, content: str | bytes) -> None:
        if path.name == written:
            raise KilledError
        write_whole(path, content)

    whole = collect(tmp_path / "whole", shelf(20), sample=6, say=quiet)
    whole = collect(tmp_path / "whole", shelf(20), sample=15, say=quiet)
    for sample in (6, 15):
        with monkeypatch.context() as patched:
            patched.setattr("ops.commands.bench.album.collect.write_whole", killed)
            with pytest.raises(KilledError):
                collect(tmp_path / "run", shelf(20), sample=sample, say=quiet)
        photos = collect(tmp_path / "run", shelf(20), sample=sample, say=quiet)
    assert photos == whole
    assert read_album(tmp_path / "run") == read_album(tmp_path / "whole")


def test_an_interrupted_collection_resumes(tmp_path: Path) -> None:
    whole = collect(tmp_path / "whole", shelf(12), say=quiet)
    seen: list[str] = []
    for _ in range(3):
        source = shelf(12)
        source.stop_after = 3
        with pytest.raises(OpsError, match="the source stops"):
            collect(tmp_path / "run", source, say=quiet)
        seen += source.read_ids
        assert not (tmp_path / "run" / "photos.jsonl").exists()
        # A kill in the middle of a line leaves a torn one.
        with (tmp_path / "run" / "prepared.jsonl").open("a") as log:
            log.write('{"id": "00')
    source = shelf(12)
    assert collect(tmp_path / "run", source, say=quiet) == whole
    assert sorted(seen + source.read_ids) == sorted(source.contents)


def test_a_lost_image_is_prepared_again(tmp_path: Path) -> None:
    source = shelf(4)
    source.stop_after = 3
    with pytest.raises(OpsError):
        collect(tmp_path, source, say=quiet)
    next((tmp_path / "images").iterdir()).unlink()
    again = shelf(4)
    photos = collect(tmp_path, again, say=quiet)
    assert len(again.read_ids) == 2
    assert all((tmp_path / "images" / f"{photo.image_sha256}.jpg").exists() for photo in photos)


def test_a_failed_photo_has_a_failure_class_and_no_image(tmp_path: Path) -> None:
    source = shelf(2)
    source.contents["torn.jpg"] = jpeg_photo(7)[:500]
    source.contents["phone.heic"] = b"\0\0\0\x18ftypheic" + bytes(64)
    photos = {photo.name: photo for photo in collect(tmp_path, source, say=quiet)}
    assert photos["torn.jpg"].failure == "image_unreadable"
    assert photos["phone.heic"].failure == "image_unsupported"
    assert photos["torn.jpg"].image_sha256 == ""
    assert photos["000.jpg"].failure is None
    assert len(list((tmp_path / "images").iterdir())) == 2


def test_an_album_in_which_all_photos_fail_is_an_error_that_names_the_classes(
    tmp_path: Path,
) -> None:
    source = Shelf({"a.heic": b"\0\0\0\x18ftypheic" + bytes(64), "b.jpg": b"x", "c.jpg": b"y"})
    with pytest.raises(OpsError, match=r"the shelf .*\(2 image_unreadable, 1 image_unsupported\)"):
        collect(tmp_path, source, say=quiet)
    assert not (tmp_path / "photos.jsonl").exists()


def test_an_edited_photo_counts_with_its_original_as_one_burst(tmp_path: Path) -> None:
    """Google Takeout writes both; the edited one is the owner's version of it."""
    album = tmp_path / "album"
    album.mkdir()
    (album / "IMG_1.jpg").write_bytes(jpeg_photo(1))
    edited = photo(1).point(lambda value: min(255, value + 20))
    (album / "IMG_1-edited.jpg").write_bytes(jpeg(edited))
    (album / "IMG_2.jpg").write_bytes(jpeg_photo(2))
    photos = collect(tmp_path / "run", Folder(path=album), say=quiet)
    bursts = {photo.name: photo.burst for photo in photos}
    assert bursts["IMG_1.jpg"] == bursts["IMG_1-edited.jpg"] != bursts["IMG_2.jpg"]


def test_photos_that_cannot_be_sent_are_counted_in_one_line(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    (album / "a.jpg").write_bytes(jpeg_photo(1))
    for name in ("b.heic", "c.heic"):
        (album / name).write_bytes(b"\0\0\0\x18ftypheic" + name.encode() + bytes(64))
    (album / "icon.png").write_bytes(encoded(photo(2, (16, 16)), "PNG"))
    messages: list[str] = []
    collect(tmp_path / "run", Folder(path=album), say=messages.append)
    assert messages[-1] == (
        "3 of 4 photos cannot be sent (2 image_unsupported, 1 image_too_small); export raw files "
        "as JPEG, and convert HEIC with `magick mogrify -format jpg *.heic`"
    )


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        ((b"\0\0\0\x18ftypheic" + bytes(64), b"<html>"), "-format jpg *.heic`"),
        ((b"<html>login</html>", jpeg_photo(1)[:400]), "or a login page"),
        ((b"",), "deleted or hidden"),
    ],
    ids=["HEIC", "login pages", "no previews"],
)
def test_the_advice_for_failed_photos_depends_on_their_failure(
    tmp_path: Path, contents: Sequence[bytes], says: str
) -> None:
    with immich_server() as server:
        server.add_album(
            "Trip", *(FakeAsset(f"{n}", content) for n, content in enumerate(contents))
        )
        with Immich(ImmichHttp(server.url, key=KEY, pause=lambda _: None)) as immich:
            with pytest.raises(OpsError) as error:
                collect(tmp_path, ImmichAlbum(immich, "Trip"), say=quiet)
    assert str(error.value).endswith(says)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OpsError, match=r"file/run cannot be written"):
        collect(tmp_path / "file" / "run", shelf(1), say=quiet)


def test_equal_photos_become_one_with_the_judgement_of_both(tmp_path: Path) -> None:
    source = shelf(3)
    source.contents["copy.jpg"] = source.contents["001.jpg"]
    # The same picture in another file: the same image is sent, and asked about once.
    source.contents["again.bmp"] = encoded(Image.new("RGB", (50, 50), "red"), "BMP")
    source.contents["again.png"] = encoded(Image.new("RGB", (50, 50), "red"), "PNG")
    source.judged = {
        "001.jpg": {"favourite": False},
        "copy.jpg": {"favourite": True, "rating": 5},
        "again.bmp": {"rating": 2},
    }
    messages: list[str] = []
    photos = {photo.name: photo for photo in collect(tmp_path, source, say=messages.append)}
    assert len(photos) == 4
    assert (photos["001.jpg"].favourite, photos["001.jpg"].rating) == (True, 5)
    (again,) = [photo for name, photo in photos.items() if name.startswith("again")]
    assert again.rating == 2
    assert messages[0] == "skipped 1 duplicate photo"


def test_half_of_a_sample_are_favourites_if_there_are_no_ratings() -> None:
    album = [candidate(n, favourite=n % 10 == 0) for n in range(1000)]
    drawn = draw(album, sample=100, seed=3)
    assert len({photo.id for photo in drawn}) == 100
    assert sum(photo.favourite is True for photo in drawn) == 50


def test_all_favourites_are_drawn_if_there_are_few() -> None:
    album = [candidate(n, favourite=n < 7) for n in range(1000)]
    drawn = draw(album, sample=100, seed=3)
    assert sum(photo.favourite is True for photo in drawn) == 7
    assert len(drawn) == 100


def test_all_other_photos_are_drawn_if_most_are_favourites() -> None:
    album = [candidate(n, favourite=n >= 7) for n in range(1000)]
    drawn = draw(album, sample=100, seed=3)
    assert sum(photo.favourite is False for photo in drawn) == 7
    assert len(drawn) == 100


def test_ratings_are_drawn_evenly_and_unrated_photos_fill_the_rest() -> None:
    chance = random.Random(1)
    ratings = [*[5] * 12, *[4] * 200, *[3] * 300, *[2] * 200, *[1] * 100, *[None] * 188]
    album = [candidate(n, rating=rating, favourite=False) for n, rating in enumerate(ratings)]
    chance.shuffle(album)
    drawn = Counter(photo.rating for photo in draw(album, sample=100, seed=3))
    assert drawn == {5: 12, 4: 22, 3: 22, 2: 22, 1: 22}
    few = [candidate(n, rating=n % 5 + 1 if n < 10 else None) for n in range(100)]
    drawn = Counter(photo.rating for photo in draw(few, sample=30, seed=3))
    assert drawn == {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, None: 20}


def test_two_ratings_among_many_favourites_do_not_decide_the_draw() -> None:
    album = [
        candidate(n, favourite=n % 4 == 0, rating=5 if n in (1, 2) else None) for n in range(400)
    ]
    drawn = draw(album, sample=40, seed=3)
    assert sum(photo.favourite is True for photo in drawn) == 20


def test_without_a_judgement_a_sample_is_drawn_at_random() -> None:
    album = [candidate(n) for n in range(1000)]
    assert len({photo.id for photo in draw(album, sample=40, seed=3)}) == 40
    assert draw(album, sample=40, seed=3) == draw(album, sample=40, seed=3)
    assert draw(album, sample=40, seed=3) != draw(album, sample=40, seed=4)
    assert sorted(photo.id for photo in draw(album, sample=5000, seed=3)) == [
        photo.id for photo in album
    ]


def test_each_favourite_has_the_same_chance() -> None:
    album = [candidate(n, favourite=n < 20) for n in range(60)]
    drawn = Counter(photo.id for seed in range(400) for photo in draw(album, sample=20, seed=seed))
    favourites = [drawn[f"{n:04}"] for n in range(20)]
    assert sum(favourites) == 4000
    assert min(favourites) > 150
    assert max(favourites) < 250


def test_a_duplicates_judgement_is_kept() -> None:
    same = {"original": "x"}
    copies = [
        dataclasses.replace(candidate(1, favourite=None, rating=None), **same),  # type: ignore[arg-type]
        dataclasses.replace(candidate(2, favourite=False, rating=3), **same),  # type: ignore[arg-type]
        candidate(3),
    ]
    kept, equal = without_duplicates(copies)
    assert equal == 1
    assert [(photo.id, photo.favourite, photo.rating) for photo in kept] == [
        ("0001", False, 3),
        ("0003", None, None),
    ]


def bursts(*shots: tuple[float | None, int | None]) -> list[int]:
    made = [
        Shot(
            photo=Photo(image_sha256=f"{n}", original_sha256="", name=f"{n}", taken_at=taken),
            look=look,
        )
        for n, (taken, look) in enumerate(shots)
    ]
    return [photo.burst for photo in number_bursts(made)]


A, B, C = 0x0F0F_0F0F_0F0F_0F0F, 0xF0F0_F0F0_0F0F_0F0F, 0xAAAA_5555_AAAA_5555


def test_photos_taken_within_seconds_are_one_burst() -> None:
    assert bursts((100, A), (300, B), (109, C), (118, B ^ C), (None, A ^ C)) == [0, 1, 0, 0, 2]


def test_photos_that_look_alike_are_one_burst_whenever_they_were_taken() -> None:
    assert bursts((1, A), (9000, A ^ 0b111), (None, A ^ 0b111_000), (50, B)) == [0, 0, 0, 1]
    assert bursts((1, A), (9000, A ^ 0b1111_1111)) == [0, 1]


def test_photos_without_time_or_image_are_bursts_of_one() -> None:
    assert bursts((None, None), (None, None), (None, A)) == [0, 1, 2]


def test_an_album_of_equal_times_is_not_one_burst() -> None:
    looks = np.random.default_rng(1).integers(0, 1 << 62, 40)
    assert len(set(bursts(*((0.0, int(look)) for look in looks)))) == 40


def test_near_duplicates_of_real_photos_are_bursts(tmp_path: Path) -> None:
    contents = {}
    for name in ("astronaut", "coffee", "chelsea", "china", "flower"):
        image = installed_photos()[name]
        contents[f"{name}.jpg"] = jpeg(image)
        contents[f"{name}-darker.jpg"] = jpeg(image.point(lambda value: int(value * 0.9)))
    photos = collect(tmp_path, Shelf(contents), say=quiet)
    bursts: dict[int, set[str]] = {}
    for prepared in photos:
        bursts.setdefault(prepared.burst, set()).add(
            prepared.name.removesuffix(".jpg").split("-")[0]
        )
    assert sorted(map(tuple, bursts.values())) == [
        ("astronaut",),
        ("chelsea",),
        ("china",),
        ("coffee",),
        ("flower",),
    ]


def test_a_folder_with_hostile_names_becomes_a_run_that_is_valid_text(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for number, name in enumerate(("<img src=x onerror=alert(1)>.jpg", "a\nb.jpg", "\udcff.jpg")):
        (album / name).write_bytes(jpeg_photo(number))
    photos = collect(tmp_path / "run", Folder(path=album), say=quiet)
    assert {photo.name for photo in photos} == {
        "<img src=x onerror=alert(1)>.jpg",
        "a\nb.jpg",
        "\\xff.jpg",
    }
    assert read_photos(tmp_path / "run") == photos


def test_an_immich_album_becomes_a_run_and_fetches_only_what_is_missing(tmp_path: Path) -> None:
    with immich_server() as server:
        assets = [
            FakeAsset(f"{n}.heic", jpeg_photo(n), favourite=n < 4, original=b"%d" % n)
            for n in range(12)
        ]
        assets.append(FakeAsset("webp.jpg", encoded(photo(50), "WEBP"), favourite=True))
        assets.append(FakeAsset("html.jpg", b"<html>", favourite=True))
        assets.append(FakeAsset("copy.heic", jpeg_photo(0), original=b"0"))
        server.add_album("Trip", *assets)
        server.faults = [Fault(f"{assets[3].id}/thumbnail", 403)]

        def run() -> tuple[Photo, ...]:
            http = ImmichHttp(server.url, key=KEY, pause=lambda _: None)
            with Immich(http) as immich:
                return collect(tmp_path, ImmichAlbum(immich, "Trip"), sample=12, say=quiet)

        with pytest.raises(OpsError):
            run()
        before = server.count("thumbnail")
        photos = run()
        # Photos that were being fetched at the end are fetched again, prepared ones are not.
        assert server.count("thumbnail") <= before + 12
        assert len(photos) == 12
        assert sum(photo.favourite is True for photo in photos) == 6
        by_name = {photo.name: photo for photo in photos}
        assert by_name["html.jpg"].failure == "image_unreadable"
        sent = tmp_path / "images" / f"{by_name['webp.jpg'].image_sha256}.jpg"
        assert sent.read_bytes()[:3] == b"\xff\xd8\xff"
        assert {photo.asset_id for photo in photos} <= {asset.id for asset in assets}
        asked = server.count("")
        assert run() == photos
        # A second run of a whole collection requests only the version.
        assert server.count("") == asked + 1


def test_a_photo_that_immich_failed_on_is_fetched_again(tmp_path: Path) -> None:
    with immich_server() as server:
        bad, good = FakeAsset("bad.jpg", jpeg_photo(1)), FakeAsset("good.jpg", b"")
        server.add_album("Trip", bad, good)
        server.faults = [Fault(f"{bad.id}/thumbnail", 500, times=4)]
        http = ImmichHttp(server.url, key=KEY, pause=lambda _: None)
        with Immich(http) as immich:
            with pytest.raises(OpsError, match="2 image_missing"):
                collect(tmp_path, ImmichAlbum(immich, "Trip"), say=quiet)
            photos = collect(tmp_path, ImmichAlbum(immich, "Trip"), say=quiet)
    assert {photo.name: photo.failure for photo in photos} == {
        "bad.jpg": None,
        "good.jpg": "image_missing",
    }


def test_a_photo_list_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    assert read_photos(tmp_path) is None
    (tmp_path / "photos.jsonl").write_text('{"name": 1}\n')
    with pytest.raises(OpsError, match=r"photos\.jsonl contains a line that is not a Photo"):
        read_photos(tmp_path)
