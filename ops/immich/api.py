"""What is asked of Immich 3.x and 2.x: its albums, their photos, and the owner's judgement.

Both versions answer the same calls, with these differences:
- the photos of an album come by POST /search/metadata, for 3.x's albums list none;
- from 3.2 the search takes a filter and a cursor; before, flat fields and pages;
- before 2.6 unrated is written as 0, since then as null.
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
"""The permissions that reading an album takes."""

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
    """Of all kinds and owners: videos and what is archived too, but not what is in the bin."""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One photo in Immich."""

    id: str
    name: str
    checksum: str
    """Of the original file, SHA-1."""
    favourite: bool
    rating: int | None
    taken_at: float | None
    edited: bool = False
    """Whether the owner cropped or turned it in Immich."""
    tags: tuple[str, ...] = ()
    """Their whole paths; only where one photo is asked for, not in a search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag; `value` is its whole path."""

    id: str
    value: str


class Immich:
    """An Immich server, as the owner of one key sees it."""

    def __init__(self, http: ImmichHttp) -> None:
        """Ask for the version.

        Args:
            http: The way to it, which is closed with this.

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
        """Refuse a key that cannot do all that is coming, before anything is done.

        Raises:
            OpsError: naming every permission that is missing.
        """
        try:
            granted = at(self._http.document("GET", "/api-keys/me"), "permissions")
        except GoneError:
            # Not known to the first versions of 2.x: each call says for itself what is missing.
            return
        if not isinstance(granted, list) or "all" in granted:
            return
        missing = [each for each in needed if each not in granted]
        if missing:
            raise OpsError(
                f"the key in {KEY_VARIABLE} lacks {', '.join(missing)}; give it what it lacks "
                "under Account Settings > API Keys"
            )

    def albums(self) -> tuple[Album, ...]:
        """All albums of the owner, shared ones too."""
        # 2.x lists own albums, and those of others only when asked; 3.x lists both.
        paths = ["/albums"] if self.version >= (3,) else ["/albums", "/albums?shared=true"]
        found: dict[str, Album] = {}
        for path in paths:
            for each in _list(self._http.document("GET", path)):
                found.setdefault(str(at(each, "id")), _album(each))
        return tuple(found.values())

    def album(self, name: str) -> Album:
        """Find an album by its name, or by its id where several have that name.

        Raises:
            OpsError: when there is none or more than one, with what there is.
        """
        albums = self.albums()
        found = [each for each in albums if each.id == name] or [
            each for each in albums if each.name == name
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(f"{each.id} ({each.asset_count} photos)" for each in found)
            raise OpsError(f"{len(found)} albums are called {name!r}; name one by its id: {ids}")
        names = sorted({one_line(each.name, limit=60) for each in albums}, key=str.casefold)
        more = f" and {len(names) - _SHOWN_ALBUMS} more" if len(names) > _SHOWN_ALBUMS else ""
        there = ", ".join(map(repr, names[:_SHOWN_ALBUMS])) or "none"
        raise OpsError(f"there is no album {name!r}; albums of this key: {there}{more}")

    def album_by_id(self, id: str) -> Album:
        """Ask for an album anew.

        Raises:
            GoneError: when it is not there any more.
        """
        return _album(self._http.document("GET", f"/albums/{quote(id, safe='')}"))

    def photos(self, *, album_id: str) -> Iterator[Asset]:
        """The photos of an album in the timeline: no videos, nothing archived or deleted."""
        flat = {"albumIds": [album_id], "type": "IMAGE", "visibility": "timeline"}
        tree = {
            "albumIds": {"any": [album_id]},
            "type": {"eq": "IMAGE"},
            "visibility": {"eq": "timeline"},
            "trashedAt": {"eq": None},
        }
        return self._search(flat, tree)

    def tagged(self, tag_id: str) -> Iterator[Asset]:
        """All that has a tag or one below it, of any kind, in the archive or the bin too."""
        return self._anything("tagIds", tag_id)

    def in_album(self, album_id: str) -> Iterator[Asset]:
        """All of an album that is the owner's, of any kind, in the archive or the bin too."""
        return self._anything("albumIds", album_id)

    def asset(self, id: str) -> Asset:
        """Ask for one photo.

        Raises:
            GoneError: when it is deleted.
        """
        found = self._http.document("GET", f"/assets/{quote(id, safe='')}")
        if at(found, "isTrashed") is True:
            raise GoneError(404, f"photo {id} is in Immich's bin")
        return _asset(found)

    def preview(self, asset: Asset) -> bytes:
        """Bring a photo's preview: 1440 px, a JPEG unless the server's owner chose another format.

        Raises:
            GoneError: when it is deleted, or has no preview.
        """
        # Left out where it is not needed: older versions do not know it.
        edited = "&edited=true" if asset.edited else ""
        path = f"/assets/{quote(asset.id, safe='')}/thumbnail?size=preview{edited}"
        return self._http.ask("GET", path).content

    def set_rating(self, id: str, rating: int | None) -> None:
        """Rate a photo.

        Args:
            id: The photo's.
            rating: 1 to 5, -1 rejected; None: unrated.

        Raises:
            GoneError: when it is deleted.
        """
        value = 0 if rating is None and self.version < _NULL_RATING_SINCE else rating
        self._http.ask("PUT", f"/assets/{quote(id, safe='')}", {"rating": value})

    def tags(self) -> tuple[Tag, ...]:
        """All tags of the owner."""
        return tuple(map(_tag, _list(self._http.document("GET", "/tags"))))

    def make_tag(self, value: str) -> Tag:
        """Make a tag and those above it, or find it."""
        return _tag(_list(self._http.document("PUT", "/tags", {"tags": [value]}))[0])

    def add_tag(self, tag_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Tag photos.

        Returns:
            The ids that it did not do, each with Immich's word for why: duplicate: it was so.
        """
        return self._many("PUT", f"/tags/{quote(tag_id, safe='')}/assets", assets)

    def remove_tag(self, tag_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Take a tag off photos; returns as `add_tag`."""
        return self._many("DELETE", f"/tags/{quote(tag_id, safe='')}/assets", assets)

    def delete_tag(self, tag_id: str) -> None:
        """Delete a tag, and those below it."""
        self._http.ask("DELETE", f"/tags/{quote(tag_id, safe='')}")

    def make_album(self, name: str, description: str) -> Album:
        """Make an empty album. Sent once only: sent twice, it would be two albums."""
        body = {"albumName": name, "description": description}
        reply = self._http.ask("POST", "/albums", body, repeatable=False)
        return _album(self._http.read(reply))

    def add_to_album(self, album_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Put photos into an album; returns as `add_tag`."""
        return self._many("PUT", f"/albums/{quote(album_id, safe='')}/assets", assets)

    def remove_from_album(self, album_id: str, assets: Collection[str]) -> Mapping[str, str]:
        """Take photos out of an album; returns as `add_tag`."""
        return self._many("DELETE", f"/albums/{quote(album_id, safe='')}/assets", assets)

    def delete_album(self, album_id: str) -> None:
        """Delete an album; its photos stay."""
        self._http.ask("DELETE", f"/albums/{quote(album_id, safe='')}")

    def _version(self) -> tuple[int, ...]:
        found = self._http.document("GET", "/server/version")
        numbers = tuple(at(found, each) for each in ("major", "minor", "patch"))
        if not all(isinstance(each, int) for each in numbers):
            raise OpsError(f"{self.url} does not say which Immich it is; is Immich there?")
        if numbers[0] not in (2, 3):
            version = ".".join(map(str, numbers))
            raise OpsError(f"Immich at {self.url} is {version}; 2.x and 3.x are known")
        return numbers

    def _many(self, verb: Any, path: str, assets: Collection[str]) -> Mapping[str, str]:
        results = _list(self._http.document(verb, path, {"ids": list(assets)}))
        return {
            str(at(each, "id")): str(at(each, "error") or "unknown")
            for each in results
            if at(each, "success") is not True
        }

    def _anything(self, where: str, id: str) -> Iterator[Asset]:
        if self.version >= _CURSOR_SINCE:
            tree: dict[str, Any] = {where: {"any": [id]}}
            yield from self._search({}, tree, any_kind=True)
            yield from self._search({}, {**tree, "trashedAt": {"ne": None}}, any_kind=True)
            return
        flat = {where: [id], "withDeleted": True}
        # Unless it is told, 3.x looks at both, and 2.x at the timeline alone.
        places: tuple[Mapping[str, str], ...] = ({},) if self.version >= (3,) else _PLACES
        for place in places:
            yield from self._search({**flat, **place}, {}, any_kind=True)

    def _search(
        self, flat: Mapping[str, Any], tree: Mapping[str, Any], *, any_kind: bool = False
    ) -> Iterator[Asset]:
        """Read all pages of a search.

        Args:
            flat: What to find, as before 3.2.
            tree: The same since then; both at once are refused.
            any_kind: Also what is no photo, or in the bin.
        """
        body: dict[str, Any] = {"withExif": True, "size": _PAGE}
        body |= {"filter": tree} if self.version >= _CURSOR_SINCE else {**flat, "page": 1}
        seen: set[str] = set()
        while True:
            assets = at(self._http.document("POST", "/search/metadata", body), "assets")
            items = [each for each in _list(at(assets, "items")) if at(each, "id") not in seen]
            for each in items:
                seen.add(str(at(each, "id")))
                if any_kind or (at(each, "type") == "IMAGE" and at(each, "isTrashed") is not True):
                    yield _asset(each)
            # A page without anything new is the last one: some versions name it again and again.
            if not items:
                return
            cursor, page = at(assets, "nextCursor"), at(assets, "nextPage")
            if "filter" in body and cursor:
                body["cursor"] = cursor
            elif "filter" not in body and page:
                body["page"] = int(page)
            else:
                return


def _album(found: object) -> Album:
    album_id, name = at(found, "id"), at(found, "albumName")
    if not isinstance(album_id, str) or not isinstance(name, str):
        raise OpsError("Immich names an album without id or name; is it 2.x or 3.x?")
    return Album(
        id=album_id,
        name=name,
        asset_count=int(at(found, "assetCount") or 0),
        description=str(at(found, "description") or ""),
    )


def _asset(found: object) -> Asset:
    asset_id = at(found, "id")
    if not isinstance(asset_id, str):
        raise OpsError("Immich names a photo without an id; is it 2.x or 3.x?")
    rating = at(found, "exifInfo", "rating")
    return Asset(
        id=asset_id,
        # JSON can hold half a character, which no file and no page can.
        name=str(at(found, "originalFileName") or asset_id).encode(errors="replace").decode(),
        checksum=_hex(at(found, "checksum")) or asset_id,
        favourite=at(found, "isFavorite") is True,
        rating=rating if rating in (-1, 1, 2, 3, 4, 5) else None,
        taken_at=_time(at(found, "fileCreatedAt")) or _time(at(found, "localDateTime")),
        edited=at(found, "isEdited") is True,
        tags=tuple(str(at(each, "value")) for each in at(found, "tags") or ()),
    )


def _tag(found: object) -> Tag:
    return Tag(id=str(at(found, "id")), value=str(at(found, "value")))


def _list(found: object) -> list[Any]:
    if not isinstance(found, list):
        raise OpsError("Immich answers in an unknown shape; is it 2.x or 3.x?")
    return found


def _hex(checksum: object) -> str:
    try:
        return base64.b64decode(str(checksum or ""), validate=True).hex()
    except binascii.Error:
        return str(checksum)


def _time(text: object) -> float | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
