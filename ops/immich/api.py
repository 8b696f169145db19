"""The API of Immich 2.x and 3.x: albums, their photos, and the owner's ratings and tags.

Both versions answer the same requests, with these differences:
- an album's photos come from POST /search/metadata, because albums of 3.x do not list them;
- a search of 3.x also returns other people's photos of a shared album, and of those `isFavorite`
  is always false; 2.x returns the key owner's and partners';
- from 3.2 the search takes a filter and a cursor; before, flat fields and pages;
- "not rated" is written as 0 before 2.6, and as null since then.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

from ops.endpoint.client import at
from ops.errors import OpsError, one_line
from ops.immich.http import KEY_VARIABLE, GoneError, ImmichHttp
from ops.report.composed import composed

READING = ("album.read", "asset.read", "asset.view")
"""The permissions for reading an album."""

_PAGE = 1000
"""The largest page that Immich accepts."""
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
    contributor_counts: Mapping[str, int] = field(default_factory=dict)
    """Assets per owner's id; only a request for one shared album returns them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A photo or a video in Immich."""

    id: str
    owner_id: str
    name: str
    checksum: str
    """SHA-1 of the original file."""
    favourite: bool
    rating: int | None
    taken_at: float | None
    is_image: bool = True
    in_timeline: bool = True
    """Whether it is neither archived nor hidden."""
    trashed: bool = False
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

    def own_id(self) -> str:
        """Return the id of the key's owner.

        Raises:
            ImmichError: when the owner has no album, and the key lacks `user.read`.
        """
        path = "/albums?isOwned=true" if self.version >= (3,) else "/albums"
        for album in _list(self._http.document("GET", path)):
            owners = [
                at(user, "user", "id")
                for user in _items(at(album, "albumUsers"))
                if at(user, "role") == "owner"
            ]
            for owner_id in (at(album, "ownerId"), *owners):
                if isinstance(owner_id, str):
                    return owner_id
        return str(at(self._http.document("GET", "/users/me"), "id"))

    def albums(self) -> tuple[Album, ...]:
        """Return all albums of the owner, including shared ones."""
        # 2.x lists albums of others only on request; 3.x lists both.
        paths = ["/albums"] if self.version >= (3,) else ["/albums", "/albums?shared=true"]
        albums: dict[str, Album] = {}
        for path in paths:
            for document in _list(self._http.document("GET", path)):
                album = _album(document)
                albums.setdefault(album.id, album)
        return tuple(albums.values())

    def album(self, name: str) -> Album:
        """Find an album by its id or by its name.

        Raises:
            OpsError: when no album or more than one has the name; the error lists the albums.
        """
        albums = self.albums()
        matches = [album for album in albums if album.id == name] or [
            album for album in albums if composed(album.name) == composed(name)
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

    def tagged(self, tag_id: str) -> Iterator[Asset]:
        """Return assets with a tag or a tag below it, of any kind, also archived or in trash."""
        return self._search("tagIds", tag_id)

    def in_album(self, album_id: str) -> Iterator[Asset]:
        """Return assets of an album, of any kind and owner, also archived or in trash."""
        return self._search("albumIds", album_id)

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
        return self._http.ask("GET", path, accept="image/*").content

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
            one_line(str(at(result, "id"))): one_line(str(at(result, "error") or "unknown"))
            for result in results
            if at(result, "success") is not True
        }

    def _search(self, where: str, id: str) -> Iterator[Asset]:
        """Return the assets that a field names, each once."""
        searches: list[dict[str, Any]]
        if self.version >= _CURSOR_SINCE:
            tree: dict[str, Any] = {where: {"any": [id]}}
            searches = [{"filter": tree}, {"filter": {**tree, "trashedAt": {"ne": None}}}]
        else:
            # By default 3.x searches timeline and archive, and 2.x only the timeline.
            places = ({},) if self.version >= (3,) else _PLACES
            searches = [{where: [id], "withDeleted": True, **place} for place in places]
        seen: set[str] = set()
        for search in searches:
            pages = yield from self._pages(search, seen)
            if pages > 1 and "filter" not in search:
                # Photos of equal time have no order here, so that a page may repeat what another
                # one then misses; the opposite order misses others.
                yield from self._pages({**search, "order": "asc"}, seen)

    def _pages(self, search: Mapping[str, Any], seen: set[str]) -> Generator[Asset, None, int]:
        """Return the assets of all pages of a search, without those that are seen already.

        Returns:
            The number of pages.
        """
        body: dict[str, Any] = {"withExif": True, "size": _PAGE, **search}
        read: set[str] = set()
        for pages in itertools.count(1):
            assets = at(self._http.document("POST", "/search/metadata", body), "assets")
            items = [_asset(item) for item in _list(at(assets, "items"))]
            news = {item.id for item in items} - read
            read |= news
            for item in items:
                if item.id not in seen:
                    seen.add(item.id)
                    yield item
            cursor, page = at(assets, "nextCursor"), at(assets, "nextPage")
            # Some versions return the last page again and again, so a page without news ends it.
            if not news or not (cursor if "filter" in body else page):
                return pages
            body |= {"cursor": _text(cursor)} if "filter" in body else {"page": _page_number(page)}
        raise AssertionError("the last page must return")


def _album(document: object) -> Album:
    album_id, name = at(document, "id"), at(document, "albumName")
    if not isinstance(album_id, str) or not isinstance(name, str):
        raise OpsError("Immich returned an album without id or name; expected Immich 2.x or 3.x")
    return Album(
        id=one_line(album_id),
        name=_text(name),
        asset_count=_count(at(document, "assetCount")),
        description=_text(at(document, "description") or ""),
        contributor_counts={
            _text(at(owner, "userId")): _count(at(owner, "assetCount"))
            for owner in _items(at(document, "contributorCounts"))
        },
    )


def _asset(document: object) -> Asset:
    asset_id = at(document, "id")
    if not isinstance(asset_id, str):
        raise OpsError("Immich returned a photo without an id; expected Immich 2.x or 3.x")
    rating = at(document, "exifInfo", "rating")
    return Asset(
        id=one_line(asset_id),
        owner_id=_text(at(document, "ownerId")),
        name=_text(at(document, "originalFileName") or asset_id),
        checksum=_hex(at(document, "checksum")) or _text(asset_id),
        favourite=at(document, "isFavorite") is True,
        rating=int(rating) if rating in (-1, 1, 2, 3, 4, 5) else None,
        taken_at=_time(at(document, "fileCreatedAt")) or _time(at(document, "localDateTime")),
        is_image=at(document, "type") == "IMAGE",
        in_timeline=at(document, "visibility") == "timeline",
        trashed=at(document, "isTrashed") is True,
        edited=at(document, "isEdited") is True,
        tags=tuple(_text(at(tag, "value")) for tag in _items(at(document, "tags"))),
    )


def _tag(document: object) -> Tag:
    return Tag(id=one_line(str(at(document, "id"))), value=_text(at(document, "value")))


def _list(document: object) -> list[Any]:
    if not isinstance(document, list):
        raise OpsError("Immich's answer is not a list; expected Immich 2.x or 3.x")
    return document


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return valid text: JSON can contain half of a surrogate pair, which files cannot."""
    return str(value).encode(errors="replace").decode()


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _page_number(page: object) -> int:
    text = str(page)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise OpsError(f"Immich's next page is {one_line(text)!r}; expected a number")
    return int(text)


def _hex(checksum: object) -> str:
    try:
        return base64.b64decode(str(checksum or ""), validate=True).hex()
    except ValueError:
        # A binascii.Error is a ValueError, and so is text outside ASCII.
        return _text(checksum)


def _time(text: object) -> float | None:
    try:
        moment = datetime.fromisoformat(str(text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
