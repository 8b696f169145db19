"""An Immich API server of the tests' own, 2.x or 3.x: real HTTP on loopback, with a memory.

It is as strict as Immich: a request of another version's shape, without the permission, or about
what is not there is refused as Immich refuses it. It compares each answer with Immich's own API
description. As in PostgreSQL, a page of a flat search orders photos of equal time by chance.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.fakes.immich_schemas import check_answer

KEY = "immich-key-that-nobody-may-see"
ALL_PERMISSIONS = (
    "album.read",
    "album.create",
    "album.delete",
    "albumAsset.create",
    "albumAsset.delete",
    "asset.read",
    "asset.view",
    "asset.update",
    "tag.read",
    "tag.create",
    "tag.asset",
    "tag.delete",
)
TIMES = {"createdAt": "2026-05-02T08:00:00.000Z", "updatedAt": "2026-05-02T08:00:00.000Z"}
OWNER = {
    "id": "5c1f6cbe-4f3f-4c52-8a3c-2f0f0f6c7a11",
    "name": "Ann",
    "email": "ann@photos.example",
    "avatarColor": "primary",
    "profileImagePath": "",
    "profileChangedAt": "2026-05-02T08:00:00.000Z",
}
OTHER = OWNER | {
    "id": "0b8f2c1e-77a5-4d0c-9f57-1c5a1c1f6d02",
    "name": "Ben",
    "email": "ben@photos.example",
}
_FLAT = {"albumIds", "tagIds", "type", "visibility", "withDeleted", "page", "order"}
_LARGEST_PAGE = 1000
_TREE = {"filter", "cursor"}
_BOTH = {"withExif", "size"}


@dataclass
class FakeAsset:
    name: str
    content: bytes
    """What size=preview gives."""
    type: str = "IMAGE"
    favourite: bool = False
    rating: int | None = None
    taken: str = "2026-05-01T10:00:00.000Z"
    visibility: str = "timeline"
    trashed: bool = False
    edited_content: bytes | None = None
    original: bytes = b""
    mine: bool = True
    """Whether the key's owner owns it."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def owner(self) -> dict[str, str]:
        return OWNER if self.mine else OTHER


@dataclass
class FakeAlbum:
    name: str
    assets: list[str]
    description: str = ""
    mine: bool = True
    shared: bool = False
    uncounted: int = 0
    """Assets that the album counts and no search returns."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Fault:
    """What goes wrong for the next so many requests whose `VERB path` this matches."""

    match: str
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "not now"}'
    after: bool = False
    """Whether it is done all the same: only the answer is lost."""


class RefusedError(Exception):
    def __init__(self, status: int, message: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class FakeImmich(ThreadingHTTPServer):
    """The server and all it knows; tests look into it and change it."""

    daemon_threads = True

    def __init__(self, version: tuple[int, int, int] = (3, 2, 2)) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.version = version
        self.permissions: list[str] = list(ALL_PERMISSIONS)
        self.key = KEY
        self.assets: dict[str, FakeAsset] = {}
        self.albums: dict[str, FakeAlbum] = {}
        self.tags: dict[str, str] = {}
        self.tagged: dict[str, set[str]] = {}
        self.faults: list[Fault] = []
        self.largest_page = _LARGEST_PAGE
        self.page_repeats = False
        self.delay_s = 0.0
        self.spoil: Callable[[bytes], bytes] | None = None
        self.requests: list[tuple[str, str, Any]] = []
        self.accepted: dict[str, str] = {}
        self.wrong_answers: list[str] = []
        self.running = self.most_running = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, asset: FakeAsset) -> FakeAsset:
        self.assets[asset.id] = asset
        return asset

    def add_album(self, name: str, *assets: FakeAsset) -> FakeAlbum:
        album = FakeAlbum(name, [self.add(each).id for each in assets])
        self.albums[album.id] = album
        return album

    def count(self, match: str) -> int:
        return sum(
            re.search(match, f"{verb} {path}") is not None for verb, path, _ in self.requests
        )

    def tags_of(self, asset: FakeAsset) -> set[str]:
        return {self.tags[tag] for tag, assets in self.tagged.items() if asset.id in assets}

    def album_named(self, name: str) -> FakeAlbum | None:
        return next((each for each in self.albums.values() if each.name == name), None)


@contextmanager
def immich_server(version: tuple[int, int, int] = (3, 2, 2)) -> Iterator[FakeImmich]:
    server = FakeImmich(version)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert server.wrong_answers == []


class Handler(BaseHTTPRequestHandler):
    server: FakeImmich
    protocol_version = "HTTP/1.1"
    # Or the header goes out alone, and its end waits for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 5

    def do_GET(self) -> None:
        self.work()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def work(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path = self.path.removeprefix("/api")
        server = self.server
        with server.lock:
            server.requests.append((self.command, path, body))
            server.accepted[path] = self.headers["Accept"]
            fault = next(
                (
                    each
                    for each in server.faults
                    if each.times and re.search(each.match, f"{self.command} {path}")
                ),
                None,
            )
            if fault:
                fault.times -= 1
            server.running += 1
            server.most_running = max(server.most_running, server.running)
        try:
            time.sleep(server.delay_s)
            with server.lock:
                if fault is None or fault.after:
                    status, content, media_type = self.result(path, body)
                    if server.spoil is not None:
                        content = server.spoil(content)
            if fault is not None:
                status, content, media_type = fault.status, fault.body, "application/json"
        finally:
            with server.lock:
                server.running -= 1
        self.send_response(status)
        for name, value in (fault.headers if fault else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def result(self, path: str, body: Any) -> tuple[int, bytes, str]:
        try:
            found = self.route(path, body)
        except RefusedError as error:
            answer = {"message": error.message}
            if isinstance(error.message, list) and self.server.version >= (3,):
                answer = {"message": "Validation failed", "errors": error.message}
            if self.server.version < (3, 2):
                answer |= {"statusCode": error.status, "error": "Refused"}
            return error.status, json.dumps(answer).encode(), "application/json; charset=utf-8"
        if found is None:
            return 204, b"", "application/json"
        if isinstance(found, bytes):
            kind = "image/webp" if found[8:12] == b"WEBP" else "image/jpeg"
            return 200, found, kind
        status = 201 if self.command == "POST" and path == "/albums" else 200
        return status, json.dumps(found).encode(), "application/json; charset=utf-8"

    ROUTES: ClassVar[tuple[tuple[str, str, str], ...]] = (
        (r"GET /server/version", "", "version_document"),
        (r"GET /users/me", "user.read", "own_user"),
        (r"GET /api-keys/me", "key", "own_key"),
        (r"GET /albums", "album.read", "list_albums"),
        (r"POST /albums", "album.create", "create_album"),
        (r"GET /albums/([^/]+)", "album.read", "one_album"),
        (r"DELETE /albums/([^/]+)", "album.delete", "delete_album"),
        (r"PUT /albums/([^/]+)/assets", "albumAsset.create", "add_to_album"),
        (r"DELETE /albums/([^/]+)/assets", "albumAsset.delete", "remove_from_album"),
        (r"POST /search/metadata", "asset.read", "search"),
        (r"GET /assets/([^/]+)", "asset.read", "one_asset"),
        (r"PUT /assets/([^/]+)", "asset.update", "update_asset"),
        (r"GET /assets/([^/]+)/thumbnail", "asset.view", "thumbnail"),
        (r"GET /tags", "tag.read", "list_tags"),
        (r"PUT /tags", "tag.create", "upsert_tags"),
        (r"DELETE /tags/([^/]+)", "tag.delete", "delete_tag"),
        (r"PUT /tags/([^/]+)/assets", "tag.asset", "tag_assets"),
        (r"DELETE /tags/([^/]+)/assets", "tag.asset", "untag_assets"),
    )

    ANSWERS: ClassVar[dict[str, str]] = {
        "version_document": "ServerVersionResponseDto",
        "own_user": "UserResponseDto",
        "own_key": "ApiKeyResponseDto",
        "list_albums": "AlbumResponseDto[]",
        "create_album": "AlbumResponseDto",
        "one_album": "AlbumResponseDto",
        "add_to_album": "BulkIdResponseDto[]",
        "remove_from_album": "BulkIdResponseDto[]",
        "search": "SearchResponseDto",
        "one_asset": "AssetResponseDto",
        "update_asset": "AssetResponseDto",
        "list_tags": "TagResponseDto[]",
        "upsert_tags": "TagResponseDto[]",
        "tag_assets": "BulkIdResponseDto[]",
        "untag_assets": "BulkIdResponseDto[]",
    }

    def route(self, path: str, body: Any) -> Any:
        address = urlsplit(path)
        for pattern, permission, name in self.ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {address.path}")
            if match is None:
                continue
            if permission:
                if self.headers.get("x-api-key") != self.server.key:
                    raise RefusedError(401, "Invalid API key")
                granted = self.server.permissions
                if permission != "key" and permission not in granted and "all" not in granted:
                    raise RefusedError(403, f"Missing required permission: {permission}")
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            answer = getattr(self, name)(*match.groups(), body=body, query=query)
            if name in self.ANSWERS:
                try:
                    check_answer(answer, self.ANSWERS[name], self.server.version)
                except AssertionError as error:
                    self.server.wrong_answers.append(f"{self.command} {path}: {error}")
            return answer
        raise RefusedError(404, f"Cannot {self.command} {path}")

    def invalid(self, field_name: str, message: str) -> RefusedError:
        if self.server.version >= (3,):
            issue = {"code": "invalid_type", "path": [field_name], "message": message}
            return RefusedError(400, [issue])
        return RefusedError(400, [f"{field_name} {message}"])

    # Each of these is one call; the lock is held.

    def version_document(self, **_: Any) -> Any:
        numbers = dict(zip(("major", "minor", "patch"), self.server.version, strict=True))
        return numbers | ({"prerelease": None} if self.server.version >= (3,) else {})

    def own_key(self, **_: Any) -> Any:
        return {"id": "k", "name": "bench", "permissions": self.server.permissions} | TIMES

    def list_albums(self, query: dict[str, str], **_: Any) -> Any:
        albums = [
            album
            for album in self.server.albums.values()
            if (query.get("isOwned") != "true" or album.mine)
            and (self.server.version >= (3,) or album.mine or "shared" in query)
            and ("shared" not in query or album.shared or not album.mine)
        ]
        return [self.album_document(album) for album in albums]

    def own_user(self, **_: Any) -> Any:
        return OWNER

    def album_document(self, album: FakeAlbum) -> Any:
        there = [self.server.assets.get(each) for each in album.assets]
        owner, guest = (OWNER, OTHER) if album.mine else (OTHER, OWNER)
        guests = [{"role": "viewer", "user": guest}] if album.shared else []
        # 2.x names the owner by itself, and leaves a list of assets empty that 3.x does not have.
        of_version: dict[str, Any] = (
            {"albumUsers": [{"role": "owner", "user": owner}, *guests]}
            if self.server.version >= (3,)
            else {"owner": owner, "ownerId": owner["id"], "albumUsers": guests, "assets": []}
        )
        return TIMES | {
            "id": album.id,
            "albumName": album.name,
            "albumThumbnailAssetId": None,
            "description": album.description,
            "assetCount": sum(each is not None and not each.trashed for each in there)
            + album.uncounted,
            "hasSharedLink": False,
            "isActivityEnabled": True,
            "shared": album.shared,
            **of_version,
        }

    def contributor_counts(self, album: FakeAlbum) -> Any:
        if not album.shared:
            return {}
        there = [self.server.assets[each] for each in album.assets if not self.gone(each)]
        counts = {
            user["id"]: sum(asset.owner is user and not asset.trashed for asset in there)
            for user in (OWNER, OTHER)
        }
        counts[OWNER["id"]] += album.uncounted
        return {
            "contributorCounts": [
                {"userId": user_id, "assetCount": number} for user_id, number in counts.items()
            ]
        }

    def found_album(self, album_id: str, permission: str) -> FakeAlbum:
        album = self.server.albums.get(album_id)
        if album is None:
            raise RefusedError(400, f"Not found or no {permission} access")
        return album

    def one_album(self, album_id: str, **_: Any) -> Any:
        album = self.found_album(album_id, "album.read")
        return self.album_document(album) | self.contributor_counts(album)

    def create_album(self, body: Any, **_: Any) -> Any:
        album = FakeAlbum(body["albumName"], [], body.get("description", ""))
        self.server.albums[album.id] = album
        return self.album_document(album)

    def delete_album(self, album_id: str, **_: Any) -> None:
        self.found_album(album_id, "album.delete")
        del self.server.albums[album_id]

    def add_to_album(self, album_id: str, body: Any, **_: Any) -> Any:
        return self.put_in(self.found_album(album_id, "albumAsset.create").assets, body["ids"])

    def remove_from_album(self, album_id: str, body: Any, **_: Any) -> Any:
        return self.take_out(self.found_album(album_id, "albumAsset.delete").assets, body["ids"])

    def put_in(self, inside: list[str] | set[str], ids: list[str]) -> Any:
        results = []
        for each in ids:
            error = "no_permission" if self.gone(each) else "duplicate" if each in inside else ""
            if not error:
                inside.add(each) if isinstance(inside, set) else inside.append(each)
            results.append(
                {"id": each, "success": not error} | ({"error": error} if error else {})
            )
        return results

    def take_out(self, inside: list[str] | set[str], ids: list[str]) -> Any:
        results = []
        for each in ids:
            there = each in inside
            if there:
                inside.remove(each)
            results.append(
                {"id": each, "success": there} | ({} if there else {"error": "not_found"})
            )
        return results

    def gone(self, asset_id: str) -> bool:
        return asset_id not in self.server.assets

    def search(self, body: dict[str, Any], **_: Any) -> Any:
        tree = set(body) & _TREE
        if self.server.version < (3, 2) and tree:
            raise self.invalid(min(tree), "property should not exist")
        if tree and set(body) & _FLAT:
            raise self.invalid(min(tree), "cannot be combined with flat fields")
        unknown = set(body) - _FLAT - _TREE - _BOTH
        if unknown:
            raise self.invalid(min(unknown), "property should not exist")
        if not isinstance(body.get("page", 1), int):
            raise self.invalid("page", "must be an integer")
        if body.get("size", 1) > _LARGEST_PAGE:
            raise self.invalid("size", f"must not be greater than {_LARGEST_PAGE}")
        if tree:
            wanted = body["filter"]
            albums = wanted.get("albumIds", {}).get("any")
            tags = wanted.get("tagIds", {}).get("any")
            kind = wanted.get("type", {}).get("eq")
            visibility = wanted.get("visibility", {}).get("eq")
            trashed: tuple[bool, ...] = (
                (True,) if wanted.get("trashedAt") == {"ne": None} else (False,)
            )
        else:
            albums, tags = body.get("albumIds"), body.get("tagIds")
            kind, visibility = body.get("type"), body.get("visibility")
            if visibility is None and self.server.version < (3,):
                visibility = "timeline"
            trashed = (True, False) if body.get("withDeleted") else (False,)
        inside = self.server.albums
        found = [
            each
            for each in self.server.assets.values()
            if (kind is None or each.type == kind)
            and (visibility is None or each.visibility == visibility)
            and each.trashed in trashed
            and (each.mine or self.server.version >= (3,))
            and (not albums or any(each.id in inside[a].assets for a in albums if a in inside))
            and (not tags or any(each.id in self.server.tagged.get(tag, ()) for tag in tags))
        ]
        size = min(body.get("size", 250), self.server.largest_page)
        if not tree:
            order = body.get("order", "desc")
            page_number = 1 if self.server.page_repeats else body.get("page", 1)
            random.Random(f"{order} {page_number}").shuffle(found)
            found.sort(key=lambda each: each.taken, reverse=order == "desc")
        if tree:
            start = int(base64.b64decode(body["cursor"])) if "cursor" in body else 0
        else:
            start = 0 if self.server.page_repeats else (body.get("page", 1) - 1) * size
        more = start + size < len(found)
        cursor = base64.b64encode(str(start + size).encode()).decode() if tree and more else None
        page = str(body.get("page", 1) + 1) if not tree and more else None
        answer = {
            "total": 0,
            "count": 0,
            "facets": [],
            "items": [
                self.document(each, exif=bool(body.get("withExif")))
                for each in found[start : start + size]
            ],
            "nextPage": page,
        }
        if self.server.version >= (3, 2):
            answer["nextCursor"] = cursor
        nothing = {"total": 0, "count": 0, "facets": [], "items": []}
        return {"albums": nothing, "assets": answer}

    def document(self, asset: FakeAsset, *, exif: bool = True) -> Any:
        checksum = hashlib.sha1(asset.original or asset.id.encode()).digest()
        device = {"deviceAssetId": asset.name, "deviceId": "camera"}
        return TIMES | {
            "id": asset.id,
            "ownerId": asset.owner["id"],
            "type": asset.type,
            "originalFileName": asset.name,
            "originalPath": f"/data/{asset.name}",
            "thumbhash": None,
            "width": None,
            "height": None,
            "hasMetadata": True,
            "isOffline": False,
            "fileModifiedAt": asset.taken,
            **({} if self.server.version >= (3,) else device),
            "checksum": base64.b64encode(checksum).decode(),
            "isFavorite": asset.favourite and asset.mine,
            "isTrashed": asset.trashed,
            "isArchived": asset.visibility == "archive",
            "visibility": asset.visibility,
            "isEdited": asset.edited_content is not None,
            "fileCreatedAt": asset.taken,
            "localDateTime": asset.taken,
            "duration": None if self.server.version >= (3,) else "0:00:00.00000",
            **({"exifInfo": {"rating": asset.rating}} if exif else {}),
        }

    def found_asset(self, asset_id: str, permission: str) -> FakeAsset:
        asset = self.server.assets.get(asset_id)
        if asset is None or (permission == "asset.update" and not asset.mine):
            raise RefusedError(400, f"Not found or no {permission} access")
        return asset

    def one_asset(self, asset_id: str, **_: Any) -> Any:
        asset = self.found_asset(asset_id, "asset.read")
        tags = [
            self.tag_document(tag, value)
            for tag, value in self.server.tags.items()
            if asset_id in self.server.tagged[tag]
        ]
        return self.document(asset) | {"tags": tags}

    def update_asset(self, asset_id: str, body: Any, **_: Any) -> Any:
        rating = body["rating"]
        if rating is None and self.server.version < (2, 6):
            raise self.invalid("rating", "must be an integer number")
        if rating is not None and rating not in range(-1, 6):
            raise self.invalid("rating", "must not be greater than 5")
        asset = self.found_asset(asset_id, "asset.update")
        asset.rating = None if rating == 0 and self.server.version >= (2, 6) else rating
        return self.document(asset)

    def thumbnail(self, asset_id: str, query: dict[str, str], **_: Any) -> bytes:
        if "edited" in query and self.server.version < (2, 5):
            raise self.invalid("edited", "property should not exist")
        asset = self.found_asset(asset_id, "asset.view")
        if query.get("size") != "preview":
            raise RefusedError(400, "the tests want size=preview")
        if not asset.content:
            raise RefusedError(404, "Asset media not found")
        if query.get("edited") == "true" and asset.edited_content is not None:
            return asset.edited_content
        return asset.content

    def list_tags(self, **_: Any) -> Any:
        return [self.tag_document(tag, value) for tag, value in self.server.tags.items()]

    def tag_document(self, tag: str, value: str) -> Any:
        return TIMES | {"id": tag, "value": value, "name": value.rpartition("/")[2]}

    def upsert_tags(self, body: Any, **_: Any) -> Any:
        made = []
        for path in body["tags"]:
            parts = path.split("/")
            for end in range(1, len(parts) + 1):
                value = "/".join(parts[:end])
                if value not in self.server.tags.values():
                    tag = str(uuid.uuid4())
                    self.server.tags[tag], self.server.tagged[tag] = value, set()
            tag = next(tag for tag, value in self.server.tags.items() if value == path)
            made.append(self.tag_document(tag, path))
        return made

    def delete_tag(self, tag: str, **_: Any) -> None:
        if tag not in self.server.tags:
            raise RefusedError(400, "Not found or no tag.delete access")
        below = self.server.tags[tag]
        for each, value in list(self.server.tags.items()):
            if value == below or value.startswith(f"{below}/"):
                del self.server.tags[each], self.server.tagged[each]

    def tag_assets(self, tag: str, body: Any, **_: Any) -> Any:
        return self.put_in(self.server.tagged[tag], body["ids"])

    def untag_assets(self, tag: str, body: Any, **_: Any) -> Any:
        return self.take_out(self.server.tagged[tag], body["ids"])

    def log_message(self, format: str, *args: Any) -> None:
        pass
