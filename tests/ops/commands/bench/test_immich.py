"""Reading an album of Immich 2.x and 3.x, and its errors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from ops.commands.bench.album.immich_album import ImmichAlbum
from ops.commands.bench.album.source import Candidate, Original
from ops.errors import OpsError
from ops.immich.api import READING, Immich
from ops.immich.http import ImmichError, ImmichHttp, api_key, server_url
from tests.fakes.immich_server import KEY, FakeAlbum, FakeAsset, FakeImmich, Fault, immich_server
from tests.ops.commands.bench.immich_world import VERSIONS
from tests.ops.commands.bench.photo_files import encoded, jpeg_photo, photo


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
    a, b, c = (photos[name] for name in ("a.jpg", "b.jpg", "c.jpg"))
    assert len(photos) == 3
    assert (a.favourite, b.favourite) == (True, False)
    assert (a.rating, b.rating, c.rating) == (4, -1, None)
    assert a.taken_at == b.taken_at == 1777629600.0
    assert a.asset_id == a.id
    assert a.original == hashlib.sha1(b"a").hexdigest()  # Of the file in Immich.


def test_all_pages_are_read_and_each_photo_once(server: FakeImmich) -> None:
    server.largest_page = 7
    photos_by_time = [
        FakeAsset(f"{n:02}.jpg", b"", taken=f"2026-05-01T10:00:{n:02}Z") for n in range(30)
    ]
    server.add_album("Many", *photos_by_time)
    with connect(server) as immich:
        photos, messages = candidates(immich, "Many")
    assert sorted(photos) == [f"{n:02}.jpg" for n in range(30)]
    assert len(messages) == 1
    bodies = [body for _, path, body in server.requests if "search" in path]
    assert {body["size"] for body in bodies} == {1000}
    assert all(("cursor" in body) <= (server.version >= (3, 2)) for body in bodies)
    assert all(("page" in body) <= (server.version < (3, 2)) for body in bodies)


def test_a_second_read_finds_photos_of_equal_time_that_pages_lose(server: FakeImmich) -> None:
    server.largest_page = 20
    album = server.add_album("Scans", *(FakeAsset(f"{n:02}.jpg", b"") for n in range(30)))
    with connect(server) as immich:
        photos, messages = candidates(immich, "Scans")
        once = {asset.id for asset in immich._pages(flat_search(album.id), set())}
    orders = {body.get("order", "desc") for _, path, body in server.requests if "search" in path}
    if server.version >= (3, 2):
        assert (len(photos), orders) == (30, {"desc"})
        return
    assert orders == {"asc", "desc"}
    assert len(once) < len(photos)
    missing = 30 - len(photos)
    assert missing == 0 or f"Immich counts {missing} more of yours" in messages[-1]


def flat_search(album_id: str) -> dict[str, object]:
    return {"albumIds": [album_id], "visibility": "timeline"}


@pytest.mark.parametrize("cursor", [b'"\\ud83d"', b"NaN", b"{}", b"7"])
def test_a_strange_cursor_is_sent_back_as_text(newest: FakeImmich, cursor: bytes) -> None:
    newest.largest_page = 1
    newest.add_album("Trip", FakeAsset("a.jpg", b""), FakeAsset("b.jpg", b""))
    page = b'{"assets": {"items": [{"id": "x"}], "nextCursor": ' + cursor + b"}}"
    newest.faults = [Fault("POST /search", 200, body=page), Fault("POST /search", 400)]
    with connect(newest) as immich, pytest.raises(ImmichError, match="answers 400"):
        candidates(immich, "Trip")


def test_a_count_that_does_not_match_the_albums_is_reported(server: FakeImmich) -> None:
    album = server.add_album("Trip", FakeAsset("a.jpg", jpeg_photo(1)))
    for album.shared in (False, True):
        album.uncounted = 0
        with connect(server) as immich:
            assert len(candidates(immich, "Trip")[1]) == 1
            album.uncounted = 3
            photos, messages = candidates(immich, "Trip")
        assert list(photos) == ["a.jpg"]
        assert "Immich counts 3 more of yours in the album than it lists" in messages[-1]


@pytest.mark.parametrize("mine", [True, False])
def test_other_peoples_photos_of_a_shared_album_are_no_candidates(
    server: FakeImmich, mine: bool
) -> None:
    """Immich masks their favourites, so they would count as photos the owner did not like."""
    album = server.add_album(
        "Wedding",
        FakeAsset("mine.jpg", b"", favourite=True),
        FakeAsset("theirs.jpg", b"", favourite=True, mine=False),
        FakeAsset("theirs.mp4", b"", type="VIDEO", mine=False),
    )
    album.mine, album.shared = mine, True
    server.permissions.append("user.read")
    with connect(server) as immich:
        photos, messages = candidates(immich, "Wedding")
    assert {name: photo.favourite for name, photo in photos.items()} == {"mine.jpg": True}
    assert messages[1:] == ["skipped 2 of others"]


def test_the_keys_owner_is_known_by_an_own_album(server: FakeImmich) -> None:
    theirs = FakeAsset("b.jpg", b"", mine=False)
    shared = server.add_album("Shared", FakeAsset("a.jpg", b""), theirs)
    shared.mine, shared.shared = False, True
    with connect(server) as immich:
        with pytest.raises(ImmichError, match=r"lacks the permission for GET /users/me"):
            candidates(immich, "Shared")
        server.add_album("Own")
        assert list(candidates(immich, "Shared")[0]) == ["a.jpg"]


def test_a_server_that_repeats_its_first_page_ends_the_listing() -> None:
    with immich_server((3, 1, 0)) as server:
        server.largest_page, server.page_repeats = 3, True
        server.add_album("Many", *(FakeAsset(f"{n}.jpg", b"") for n in range(9)))
        with connect(server) as immich:
            photos, messages = candidates(immich, "Many")
    assert len(photos) >= 3
    assert f"Immich counts {9 - len(photos)} more of yours" in messages[-1]


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
    assert messages[-1] == "skipped 2 videos or archived photos"


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


def test_an_error_about_strange_ids_is_one_line(newest: FakeImmich) -> None:
    strange = FakeAlbum("Trip", [], id="a\nb\x1b[31m\ud83d")
    newest.albums[strange.id] = strange
    newest.add_album("Trip")
    with connect(newest) as immich, pytest.raises(OpsError, match="2 albums are named") as error:
        immich.album("Trip")
    assert str(error.value).isprintable()


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
        drawn = sorted(source.candidates(lambda _: None), key=lambda photo: photo.name)
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


def test_a_validation_error_shows_its_reasons(server: FakeImmich) -> None:
    with connect(server) as immich, pytest.raises(ImmichError) as error:
        immich._http.ask("POST", "/search/metadata", {"size": 2000})
    reason = "size: must not be" if server.version >= (3,) else "size must not be"
    assert f"{reason} greater than 1000" in str(error.value)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"message": "Validation failed", "errors": [{"path": ["a", 0], "message": "no"}]}',
         "Validation failed, a.0: no"),
        (b'{"message": "Validation failed", "errors": [{"path": 7}, "x", null]}',
         'Validation failed, {"path": 7}, x, null'),
        (b'{"message": ["a", {"message": "b"}]}', "a, b"),
        (b'{"message": {"x": 1}}', '{"x": 1}'),
        (b'{"errors": "none"}', "no reason given"),
        (b"[]", "no reason given"),
        (b"\xff", "\ufffd"),
    ],
)  # fmt: skip
def test_an_error_of_any_shape_is_one_line(newest: FakeImmich, body: bytes, shown: str) -> None:
    newest.faults = [Fault("GET /albums", 400, body=body)]
    with connect(newest) as immich, pytest.raises(OpsError) as error:
        immich.albums()
    assert str(error.value) == f"Immich answers 400 to GET /albums ({shown})"


def test_pictures_are_requested_as_pictures(newest: FakeImmich) -> None:
    album = newest.add_album("Trip", FakeAsset("a.jpg", jpeg_photo(1)))
    assert preview_of(newest) == [jpeg_photo(1)]
    accepted = newest.accepted[f"/assets/{album.assets[0]}/thumbnail?size=preview"]
    assert accepted == "image/*"
    assert newest.accepted["/albums"] == "application/json"


def test_an_album_is_found_by_its_name_in_another_unicode_form(newest: FakeImmich) -> None:
    names = ["Su\u0308dtirol", "S\u00fcdtirol"]
    for stored, typed in (names, names[::-1]):
        newest.albums.clear()
        newest.add_album(stored, FakeAsset("a.jpg", jpeg_photo(1)))
        with connect(newest) as immich:
            assert list(candidates(immich, typed)[0]) == ["a.jpg"]


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
