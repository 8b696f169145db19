"""The API of Immich 2.x and 3.x: albums, their photos, and the owner's ratings and tags.

Both versions answer the same requests, with these differences:
- an album's photos come from POST /search/metadata, because albums of 3.x do not list them;
- from 3.2 the search takes a filter and a cursor; before, flat fields and pages;
- "not rated" is written as 0 before 2.6, and as null since then.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

from ops.endpoint.client import at
from ops.errors import OpsError, one_line
from ops.immich.http import KEY_VARIABLE, GoneError, ImmichHttp

READING = ("album.read", "asset.read", "asset.view")
"""The permissions for reading an album."""

_PAGE = 500
_CURSOR_SINCE = (3, 2)
_NULL_RATING_SINCE = (2, 6)
_SHOWN_ALBUMS = 12
_PLACES: tuple[Mapping[str, str], ...] = ({"visibility": "timeline"}, {"visibility": "archive"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """An album, without its photos."""

    id: str
    name: str
    asset_count: int
    """Assets of all kinds and owners, archived ones included, without those in the trash."""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One photo in Immich."""

    id: str
    name: str
    checksum: str
    """SHA-1 of the original file."""
    favourite: bool
    rating: int | None
    taken_at: float | None
    edited: bool = False
    """Whether the owner cropped or rotated it in Immich."""
    tags: tuple[str, ...] = ()
    """Full paths of its tags; a search does not return them, only a request for one photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag; `value` is its full path."""

    id: str
    value: str


class Immich:
    """An Immich server as the owner of a key sees it."""

    def __init__(self, http: ImmichHttp) -> None:
        """Read the server's version.

        Args:
            http: The client, which this object closes.

        Raises:
            OpsError: when no Immich of a known version answers.
        """
        self._http = http
        try:
            self.version = self._version()
        except BaseException:
            http.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._http.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._http.url

    def check_permissions(self, needed: Collection[str]) -> None:
        """Check that the key has all permissions.

        Raises:
            OpsError: naming each missing permission.
        """
        try:
            granted = at(self._http.document("GET", "/api-keys/me"), "permissions")
        except GoneError:
            # The first versions of 2.x do not know this path; each request then reports its own.
            return
        if not isinstance(granted, list) or "all" in granted:
            return
        missing = [permission for permission in needed if permission not in granted]
        if missing:
            raise OpsError(
                f"the key in {KEY_VARIABLE} lacks {', '.join(missing)}. Add these permissions "
                "under Account Settings > API Keys"
            )

    def albums(self) -> tuple[Album, ...]:
        """Return all albums of the owner, including shared ones."""
        # 2.x lists albums of others only on request; 3.x lists both.
        paths = ["/albums"] if self.version >= (3,) else ["/albums", "/albums?shared=true"]
        albums: dict[str, Album] = {}
        for path in paths:
            for document in _list(self._http.document("GET", path)):
                albums.setdefault(str(at(document, "id")), _album(document))
        return tuple(albums.values())

    def album(self, name: str) -> Album:
        """Find an album by its id or by its name.

        Raises:
            OpsError: when no album or more than one has the name; the error lists the albums.
        """
        albums = self.albums()
        matches = [album for album in albums if album.id == name] or [
            album for album in albums if album.name == name
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            ids = ", ".join(f"{album.id} ({album.asset_count} photos)" for album in matches)
            raise OpsError(f"{len(matches)} albums are named {name!r}; pass the id of one: {ids}")
        names = sorted({one_line(album.name, limit=60) for album in albums}, key=str.casefold)
        more = f" and {len(names) - _SHOWN_ALBUMS} more" if len(names) > _SHOWN_ALBUMS else ""
        listed = ", ".join(map(repr, names[:_SHOWN_ALBUMS])) or "none"
        raise OpsError(f"no album is named {name!r}; albums of this key: {listed}{more}")

    def album_by_id(self, id: str) -> Album:
        """Read an album.

        Raises:
            GoneError: when it no longer exists.
        """
        return _album(self._http.document("GET", f"/albums/{quote(id, safe='')}"))

    def photos(self, *, album_id: str) -> Iterator[Asset]:
        """Return an album's photos in the timeline: no videos, nothing archived or deleted."""
        flat = {"albumIds": [album_id], "type": "IMAGE", "visibility": "timeline"}
        tree = {
            "albumIds": {"any": [album_id]},
            "type": {"eq": "IMAGE"},
            "visibility": {"eq": "timeline"},
            "trashedAt": {"eq": None},
        }
        return self._search(flat, tree)

    def tagged(self, tag_id: str) -> Iterator[Asset]:
        """Return assets with a tag or a tag below it, of any kind, also archived or in trash."""
        return self._anything("tagIds", tag_id)

    def in_album(self, album_id: str) -> Iterator[Asset]:
        """Return the owner's assets of an album, of any kind, also archived or in trash."""
        return self._anything("albumIds", album_id)

    def asset(self, id: str) -> Asset:
        """Read one photo.

        Raises:
            GoneError: when it is deleted.
        """
        document = self._http.document("GET", f"/assets/{quote(id, safe='')}")
        if at(document, "isTrashed") is True:
            raise GoneError(404, f"photo {id} is in Immich's trash")
        return _asset(document)

    def preview(self, asset: Asset) -> bytes:
        """Return a photo's preview: 1440 px, JPEG unless the server's owner chose another format.

        Raises:
            GoneError: when the photo is deleted or has no preview.
        """
        # Older versions do not know the parameter, so it is sent only where it matters.
        edited = "&edited=true" if asset.edited else ""
        path = f"/assets/{quote(asset.id, safe='')}/thumbnail?size=preview{edited}"
        return self._http.ask("GET", path).content

    def set_rating(self, id: str, rating: int | None) -> None:
        """Rate a photo.

        Args:
            id: The photo's id.
            rating: 1 to 5, -1 for rejected, None for not rated.

        Raises:
            GoneError: when it is deleted.
        """
        value = 0 if rating is None and self.version < _NULL_RATING_SINCE else rating
        self._http.ask("PUT", f"/assets/{quote(id, safe='')}", {"rating": value})

    def tags(self) -> tuple[Tag, ...]:
        """Return all tags of the owner."""
        return tuple(map(_tag, _list(self._http.document("GET", "/tags"))))

    def make_tag(self, value: str) -> Tag:
        """Create a tag with the tags above it, or return the existing tag."""
        return _tag(_list(self._http.document("PUT", "/tags", {"tags": [value]}))[0])

    def add_tag(self, tag_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Tag photos.

        Returns:
            Id -> Immich's error for each photo that failed; `duplicate`: it already had the tag.
        """
        return self._many("PUT", f"/tags/{quote(tag_id, safe='')}/assets", assets)

    def remove_tag(self, tag_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Remove a tag from photos; returns as `add_tag`."""
        return self._many("DELETE", f"/tags/{quote(tag_id, safe='')}/assets", assets)

    def delete_tag(self, tag_id: str) -> None:
        """Delete a tag and the tags below it."""
        self._http.ask("DELETE", f"/tags/{quote(tag_id, safe='')}")

    def make_album(self, name: str, description: str) -> Album:
        """Create an empty album. The request is not retried: that could create two albums."""
        body = {"albumName": name, "description": description}
        reply = self._http.ask("POST", "/albums", body, repeatable=False)
        return _album(self._http.read(reply))

    def add_to_album(self, album_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Add photos to an album; returns as `add_tag`."""
        return self._many("PUT", f"/albums/{quote(album_id, safe='')}/assets", assets)

    def remove_from_album(self, album_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Remove photos from an album; returns as `add_tag`."""
        return self._many("DELETE", f"/albums/{quote(album_id, safe='')}/assets", assets)

    def delete_album(self, album_id: str) -> None:
        """Delete an album, not its photos."""
        self._http.ask("DELETE", f"/albums/{quote(album_id, safe='')}")

    def _version(self) -> tuple[int, ...]:
        document = self._http.document("GET", "/server/version")
        numbers = tuple(at(document, part) for part in ("major", "minor", "patch"))
        if not all(isinstance(number, int) for number in numbers):
            raise OpsError(
                f"{self.url} does not report an Immich version; check that Immich answers there"
            )
        if numbers[0] not in (2, 3):
            version = ".".join(map(str, numbers))
            raise OpsError(f"Immich at {self.url} is {version}; expected 2.x or 3.x")
        return numbers

    def _many(self, verb: Any, path: str, assets: Collection[str]) -> Mapping[str, str]:
        results = _list(self._http.document(verb, path, {"ids": list(assets)}))
        return {
            str(at(result, "id")): str(at(result, "error") or "unknown")
            for result in results
            if at(result, "success") is not True
        }

    def _anything(self, where: str, id: str) -> Iterator[Asset]:
        if self.version >= _CURSOR_SINCE:
            tree: dict[str, Any] = {where: {"any": [id]}}
            yield from self._search({}, tree, any_kind=True)
            yield from self._search({}, {**tree, "trashedAt": {"ne": None}}, any_kind=True)
            return
        flat = {where: [id], "withDeleted": True}
        # By default 3.x searches timeline and archive, and 2.x only the timeline.
        places: tuple[Mapping[str, str], ...] = ({},) if self.version >= (3,) else _PLACES
        for place in places:
            yield from self._search({**flat, **place}, {}, any_kind=True)

    def _search(
        self, flat: Mapping[str, Any], tree: Mapping[str, Any], *, any_kind: bool = False
    ) -> Iterator[Asset]:
        """Return the assets of all pages of a search.

        Args:
            flat: The fields before 3.2.
            tree: The filter since 3.2; Immich refuses both in one request.
            any_kind: Whether to include videos and assets in the trash (default: no).
        """
        body: dict[str, Any] = {"withExif": True, "size": _PAGE}
        body |= {"filter": tree} if self.version >= _CURSOR_SINCE else {**flat, "page": 1}
        seen: set[str] = set()
        while True:
            assets = at(self._http.document("POST", "/search/metadata", body), "assets")
            items = [item for item in _list(at(assets, "items")) if at(item, "id") not in seen]
            for item in items:
                seen.add(str(at(item, "id")))
                if any_kind or (at(item, "type") == "IMAGE" and at(item, "isTrashed") is not True):
                    yield _asset(item)
            # Some versions return the last page again and again, so a page without news ends it.
            if not items:
                return
            cursor, page = at(assets, "nextCursor"), at(assets, "nextPage")
            if "filter" in body and cursor:
                body["cursor"] = cursor
            elif "filter" not in body and page:
                body["page"] = int(page)
            else:
                return


def _album(document: object) -> Album:
    album_id, name = at(document, "id"), at(document, "albumName")
    if not isinstance(album_id, str) or not isinstance(name, str):
        raise OpsError("Immich returned an album without id or name; expected Immich 2.x or 3.x")
    return Album(
        id=album_id,
        name=name,
        asset_count=int(at(document, "assetCount") or 0),
        description=str(at(document, "description") or ""),
    )


def _asset(document: object) -> Asset:
    asset_id = at(document, "id")
    if not isinstance(asset_id, str):
        raise OpsError("Immich returned a photo without an id; expected Immich 2.x or 3.x")
    rating = at(document, "exifInfo", "rating")
    return Asset(
        id=asset_id,
        # JSON can contain half of a surrogate pair, which files and pages cannot.
        name=str(at(document, "originalFileName") or asset_id).encode(errors="replace").decode(),
        checksum=_hex(at(document, "checksum")) or asset_id,
        favourite=at(document, "isFavorite") is True,
        rating=rating if rating in (-1, 1, 2, 3, 4, 5) else None,
        taken_at=_time(at(document, "fileCreatedAt")) or _time(at(document, "localDateTime")),
        edited=at(document, "isEdited") is True,
        tags=tuple(str(at(tag, "value")) for tag in at(document, "tags") or ()),
    )


def _tag(document: object) -> Tag:
    return Tag(id=str(at(document, "id")), value=str(at(document, "value")))


def _list(document: object) -> list[Any]:
    if not isinstance(document, list):
        raise OpsError("Immich's answer is not a list; expected Immich 2.x or 3.x")
    return document


def _hex(checksum: object) -> str:
    try:
        return base64.b64decode(str(checksum or ""), validate=True).hex()
    except binascii.Error:
        return str(checksum)


def _time(text: object) -> float | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
