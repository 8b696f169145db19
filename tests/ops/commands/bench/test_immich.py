"""Reading an album of Immich 2.x and 3.x, and its errors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from ops.commands.bench.album.immich_album import ImmichAlbum
from ops.commands.bench.album.source import Candidate, Original
from ops.errors import OpsError
from ops.immich.api import READING, Immich
from ops.immich.http import ImmichHttp, api_key, server_url
from tests.fakes.immich_server import KEY, FakeAsset, FakeImmich, Fault, immich_server
from tests.ops.commands.bench.photo_files import encoded, jpeg_photo, photo

VERSIONS = [(2, 2, 3), (2, 7, 5), (3, 0, 1), (3, 2, 2)]


@pytest.fixture(params=VERSIONS, ids=lambda version: ".".join(map(str, version)))
def server(request: pytest.FixtureRequest) -> Iterator[FakeImmich]:
    with immich_server(request.param) as server:
        yield server


@pytest.fixture
def newest() -> Iterator[FakeImmich]:
    with immich_server() as server:
        yield server


class Pauses(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def connect(server: FakeImmich, pauses: Pauses | None = None, **options: float) -> Immich:
    pause = Pauses() if pauses is None else pauses
    return Immich(ImmichHttp(server.url, key=KEY, pause=pause, **options))


def candidates(immich: Immich, name: str) -> tuple[dict[str, Candidate], list[str]]:
    messages: list[str] = []
    photos = ImmichAlbum(immich, name).candidates(messages.append)
    return {photo.name: photo for photo in photos}, messages


def test_an_albums_photos_come_with_the_owners_judgement(server: FakeImmich) -> None:
    server.add_album(
        "Summer",
        FakeAsset("a.jpg", jpeg_photo(1), favourite=True, rating=4, original=b"a"),
        FakeAsset("b.jpg", jpeg_photo(2), rating=-1, taken="2026-05-01T12:00:00+02:00"),
        FakeAsset("c.jpg", jpeg_photo(3), rating=0 if server.version < (2, 6) else None),
    )
    server.add_album("Winter", FakeAsset("d.jpg", jpeg_photo(4)))
    with connect(server) as immich:
        assert immich.version == server.version
        photos, _ = candidates(immich, "Summer")
    assert list(photos) == ["a.jpg", "b.jpg", "c.jpg"]
    a, b, c = photos.values()
    assert (a.favourite, b.favourite) == (True, False)
    assert (a.rating, b.rating, c.rating) == (4, -1, None)
    assert a.taken_at == b.taken_at == 1777629600.0
    assert a.asset_id == a.id
    assert a.original == hashlib.sha1(b"a").hexdigest()  # Of the file in Immich.


def test_all_pages_are_read_and_each_photo_once(server: FakeImmich) -> None:
    server.largest_page = 7
    server.add_album("Many", *(FakeAsset(f"{n:02}.jpg", b"") for n in range(30)))
    with connect(server) as immich:
        photos, _ = candidates(immich, "Many")
    assert sorted(photos) == [f"{n:02}.jpg" for n in range(30)]
    assert server.count("POST /search/metadata") == 5
    bodies = [body for _, path, body in server.requests if "search" in path]
    assert ("cursor" in bodies[-1]) == (server.version >= (3, 2))
    assert ("page" in bodies[-1]) == (server.version < (3, 2))


def test_a_server_that_repeats_its_first_page_ends_the_listing() -> None:
    with immich_server((3, 1, 0)) as server:
        server.largest_page, server.page_repeats = 3, True
        server.add_album("Many", *(FakeAsset(f"{n}.jpg", b"") for n in range(9)))
        with connect(server) as immich:
            photos, messages = candidates(immich, "Many")
    assert len(photos) == 3
    assert "skipped 6 of the album" in messages[-1]


def test_videos_and_archived_and_deleted_photos_are_skipped_and_counted(
    server: FakeImmich,
) -> None:
    server.add_album(
        "Mixed",
        FakeAsset("a.jpg", jpeg_photo(1)),
        FakeAsset("a.mp4", b"", type="VIDEO"),
        FakeAsset("old.jpg", b"", visibility="archive"),
        FakeAsset("gone.jpg", b"", trashed=True),
    )
    with connect(server) as immich:
        photos, messages = candidates(immich, "Mixed")
    assert list(photos) == ["a.jpg"]
    assert messages[-1].startswith("skipped 2 of the album: ")


def test_a_missing_or_ambiguous_album_lists_the_albums(newest: FakeImmich) -> None:
    first = newest.add_album("Trip", FakeAsset("a.jpg", jpeg_photo(1)))
    second = newest.add_album("Trip", FakeAsset("b.jpg", jpeg_photo(2)))
    newest.add_album("<b>\nHome", FakeAsset("c.jpg", jpeg_photo(3)))
    with connect(newest) as immich:
        with pytest.raises(OpsError, match=r"no album is named 'trip'; .*: '<b> Home', 'Trip'"):
            candidates(immich, "trip")
        with pytest.raises(OpsError, match="2 albums are named 'Trip'") as error:
            candidates(immich, "Trip")
        assert first.id in str(error.value)
        photos, _ = candidates(immich, second.id)
        assert list(photos) == ["b.jpg"]


def test_no_album_and_an_empty_album_are_errors(newest: FakeImmich) -> None:
    with connect(newest) as immich:
        with pytest.raises(OpsError, match="albums of this key: none"):
            candidates(immich, "Trip")
        newest.add_album("Trip")
        with pytest.raises(OpsError, match=r"'Trip' .*contains no photos"):
            candidates(immich, "Trip")


def test_missing_permissions_are_all_named_before_anything_is_read(server: FakeImmich) -> None:
    server.permissions = ["album.read"]
    with connect(server) as immich, pytest.raises(OpsError) as error:
        candidates(immich, "Trip")
    assert "lacks asset.read, asset.view" in str(error.value)
    assert server.count("search|albums") == 0
    server.permissions = ["all"]
    with connect(server) as immich:
        immich.check_permissions(READING)


def test_a_server_that_reports_no_permissions_is_accepted(newest: FakeImmich) -> None:
    newest.add_album("Trip", FakeAsset("half \ud83d.jpg", jpeg_photo(1)))
    newest.faults = [Fault("api-keys/me", 404)]
    with connect(newest) as immich:
        photos, _ = candidates(immich, "Trip")
    # Half a character in a name, valid in JSON and not in a file, is shown as a ?.
    assert list(photos) == ["half ?.jpg"]


def test_a_permission_that_was_revoked_meanwhile_is_named(newest: FakeImmich) -> None:
    newest.add_album("Trip", FakeAsset("a.jpg", jpeg_photo(1)))
    with connect(newest) as immich:
        album = ImmichAlbum(immich, "Trip")
        drawn = album.candidates(lambda _: None)
        newest.permissions.remove("asset.view")
        with pytest.raises(OpsError, match=r"Missing required permission: asset\.view"):
            list(album.read(drawn))


def test_an_expired_key_is_not_shown_and_the_error_says_how_to_make_another(
    newest: FakeImmich,
) -> None:
    with connect(newest) as immich:
        newest.key = "another"
        with pytest.raises(OpsError, match=r"IMMICH_API_KEY .*Account Settings") as error:
            immich.albums()
    assert KEY not in str(error.value)
    assert newest.count("GET /albums") == 1


def test_an_error_that_repeats_the_key_does_not_show_it(newest: FakeImmich) -> None:
    newest.faults = [Fault("GET /albums", 418, body=f'{{"message": "bad {KEY}"}}'.encode())]
    with connect(newest) as immich, pytest.raises(OpsError, match=r"bad \*\*\*") as error:
        immich.albums()
    assert KEY not in str(error.value)


def test_previews_come_in_order_four_at_a_time(newest: FakeImmich) -> None:
    newest.delay_s = 0.02
    album = newest.add_album("Trip", *(FakeAsset(f"{n}", jpeg_photo(n)) for n in range(20)))
    with connect(newest) as immich:
        source = ImmichAlbum(immich, album.id)
        drawn = tuple(reversed(source.candidates(lambda _: None)))
        read = list(source.read(drawn))
    assert [original.content for original in read] == [jpeg_photo(n) for n in reversed(range(20))]
    assert newest.most_running == 4
    assert newest.count(r"thumbnail\?size=preview$") == 20


def test_closing_the_reader_early_stops_the_fetches(newest: FakeImmich) -> None:
    newest.delay_s = 0.01
    newest.add_album("Trip", *(FakeAsset(f"{n}", jpeg_photo(n)) for n in range(60)))
    with connect(newest) as immich:
        source = ImmichAlbum(immich, "Trip")
        reading = source.read(source.candidates(lambda _: None))
        next(iter(reading))
        reading.close()  # type: ignore[attr-defined]
    assert newest.count("thumbnail") <= 12


def test_a_photo_that_was_deleted_meanwhile_is_a_failure_and_the_others_are_read(
    server: FakeImmich,
) -> None:
    assets = [FakeAsset(f"{n}.jpg", jpeg_photo(n)) for n in range(4)]
    server.add_album("Trip", *assets)
    with connect(server) as immich:
        source = ImmichAlbum(immich, "Trip")
        drawn = source.candidates(lambda _: None)
        del server.assets[assets[1].id]
        assets[2].content = b""
        read = list(source.read(drawn))
    assert [original.failure for original in read] == [
        None,
        "image_missing",
        "image_missing",
        None,
    ]


def test_the_preview_is_of_the_edited_photo() -> None:
    with immich_server((2, 7, 5)) as server:
        asset = FakeAsset("a.jpg", jpeg_photo(1), edited_content=jpeg_photo(2))
        server.add_album("Trip", asset, FakeAsset("b.jpg", jpeg_photo(3)))
        assert preview_of(server) == [jpeg_photo(2), jpeg_photo(3)]


def preview_of(server: FakeImmich) -> list[bytes]:
    with connect(server) as immich:
        source = ImmichAlbum(immich, "Trip")
        return [original.content for original in source.read(source.candidates(lambda _: None))]


def test_a_preview_of_another_format_is_not_converted(newest: FakeImmich) -> None:
    webp = encoded(photo(1), "WEBP")
    newest.add_album("Trip", FakeAsset("a.jpg", webp))
    assert preview_of(newest) == [webp]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_temporary_error_is_retried_after_a_pause(newest: FakeImmich, status: int) -> None:
    newest.add_album("Trip", FakeAsset("a.jpg", jpeg_photo(1)))
    newest.faults = [Fault("POST /search", status, times=2), Fault("thumbnail", status)]
    pauses = Pauses()
    with connect(newest, pauses) as immich:
        source = ImmichAlbum(immich, "Trip")
        read = list(source.read(source.candidates(lambda _: None)))
    assert read[0].content == jpeg_photo(1)
    assert pauses == [0.5, 1.0, 0.5]


def test_retry_after_is_followed_up_to_30_s(newest: FakeImmich) -> None:
    newest.faults = [
        Fault("GET /albums", 429, headers={"Retry-After": "7"}),
        Fault("GET /albums", 503, headers={"Retry-After": "3600"}),
    ]
    pauses = Pauses()
    with connect(newest, pauses) as immich:
        immich.albums()
    assert pauses == [7.0, 30.0]


def test_a_refused_request_is_not_retried(newest: FakeImmich) -> None:
    newest.faults = [Fault("GET /albums", 400)]
    with connect(newest) as immich, pytest.raises(OpsError, match=r"answers 400 .*\(not now\)"):
        immich.albums()
    assert newest.count("GET /albums") == 1


def test_one_failed_preview_is_a_failure_and_all_failed_previews_are_an_error(
    newest: FakeImmich,
) -> None:
    bad = FakeAsset("bad.jpg", jpeg_photo(1))
    newest.add_album("Trip", bad, FakeAsset("a.jpg", jpeg_photo(2)))
    newest.faults = [Fault(f"{bad.id}/thumbnail", 500, times=99)]
    assert read_failures(newest) == ["image_missing", None]
    newest.faults = [Fault("thumbnail", 502, times=99)]
    with pytest.raises(OpsError, match="502"):
        read_failures(newest)


def read_failures(server: FakeImmich) -> list[str | None]:
    with connect(server) as immich:
        source = ImmichAlbum(immich, "Trip")
        read: list[Original] = list(source.read(source.candidates(lambda _: None)))
    return [original.failure for original in read]


def test_a_slow_server_ends_with_one_line(newest: FakeImmich) -> None:
    with connect(newest, timeout_s=0.2) as immich:
        newest.delay_s = 0.6
        with pytest.raises(OpsError, match="no complete answer from Immich at http://127"):
            immich.albums()


def test_an_unreachable_server_is_one_line() -> None:
    with immich_server() as server:
        url = server.url
    with pytest.raises(OpsError, match="no complete answer from Immich at http://127"):
        Immich(ImmichHttp(url, key=KEY, pause=Pauses()))


def test_a_login_page_before_immich_is_an_error_that_names_it(newest: FakeImmich) -> None:
    newest.faults = [Fault("server/version", 200, body=b"<html>login</html>")]
    with pytest.raises(OpsError, match=r"is not JSON .*without a login page before it"):
        connect(newest)
    newest.faults = [Fault("server/version", 302, headers={"Location": "https://elsewhere/"})]
    with pytest.raises(OpsError, match="redirects to https://elsewhere/; use that address"):
        connect(newest)
    assert newest.count("elsewhere") == 0


@pytest.mark.parametrize("version", [(1, 138, 1), (4, 0, 0)])
def test_an_unknown_version_is_refused(version: tuple[int, int, int]) -> None:
    with immich_server(version) as server:
        with pytest.raises(OpsError, match=r"expected 2\.x or 3\.x"):
            connect(server)


def test_the_environments_proxy_never_sees_the_key(
    newest: FakeImmich, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with connect(newest) as immich:
        assert immich.version == (3, 2, 2)


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("http://photos:2283", "http://photos:2283"),
        ("https://photos.example/", "https://photos.example"),
        ("https://photos.example/api/", "https://photos.example"),
        (" https://home.example/immich/api ", "https://home.example/immich"),
    ],
)
def test_an_address_as_in_the_browser_is_accepted(typed: str, url: str) -> None:
    assert server_url(typed) == url


@pytest.mark.parametrize(
    "typed", ["photos.example", "", "ftp://photos", "http://", "http://a b", "http://a:99999"]
)
def test_a_wrong_address_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(OpsError, match=r"--immich is .*expected http"):
        server_url(typed)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(OpsError) as error:
        server_url("https://me:hunter2@photos.example")
    assert "hunter2" not in str(error.value)


def test_the_key_comes_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMMICH_API_KEY", raising=False)
    with pytest.raises(OpsError, match=r"IMMICH_API_KEY is not set; create a key .*asset\.view"):
        api_key()
    monkeypatch.setenv("IMMICH_API_KEY", "  key\n")
    assert api_key() == "key"
    with pytest.raises(OpsError) as error:
        ImmichHttp("http://photos", key="ge heim")
    assert "ge heim" not in str(error.value)
