"""An Immich album as a source of photos: it loads previews, four at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ops.commands.bench.album.source import Candidate, Original
from ops.errors import OpsError, one_line
from ops.immich.api import READING, Asset, Immich
from ops.immich.http import GoneError, ImmichError
from ops.report.terminal import Say

_AT_ONCE = 4
_AHEAD = 8
"""Previews that wait to be prepared, at most: this bounds the memory."""


class ImmichAlbum:
    """An album in Immich, found by name or id."""

    def __init__(self, immich: Immich, name: str) -> None:
        """Take the server and the album's name or id; send no request yet."""
        self._immich = immich
        self._name = name
        self._assets: dict[str, Asset] = {}

    @property
    def title(self) -> str:
        """The album's name and the server's address."""
        return f"album {self._name!r} of {self._immich.url}"

    def candidates(self, say: Say) -> tuple[Candidate, ...]:
        """Find all photos of the album, with the owner's favourites and ratings.

        Raises:
            OpsError: when the key lacks permissions, or the album is missing or has no photos.
        """
        self._immich.check_permissions(READING)
        album = self._immich.album_by_id(self._immich.album(self._name).id)
        version = ".".join(map(str, self._immich.version))
        say(f"Immich {version}: reading album {one_line(album.name)}")
        own_id = self._immich.own_id()
        listed = [asset for asset in self._immich.in_album(album.id) if not asset.trashed]
        own = [asset for asset in listed if asset.owner_id == own_id]
        self._assets = {asset.id: asset for asset in own if asset.is_image and asset.in_timeline}
        # Only a shared album tells how many assets are whose.
        counts = album.contributor_counts or {own_id: album.asset_count - len(listed) + len(own)}
        others = max(sum(counts.values()) - counts.get(own_id, 0), len(listed) - len(own))
        kinds = {"videos or archived photos": len(own) - len(self._assets), "of others": others}
        skipped = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
        if not self._assets:
            raise OpsError(f"{self.title} contains no photos of yours ({skipped or 'empty'})")
        if skipped:
            say(f"skipped {skipped}")
        missing = counts.get(own_id, 0) - len(own)
        if missing > 0:
            say(
                f"Immich counts {missing} more of yours in the album than it lists; they are not "
                "drawn. If the album did not change just now, run it again"
            )
        return tuple(
            Candidate(
                id=asset.id,
                name=asset.name,
                original=asset.checksum,
                favourite=asset.favourite,
                rating=asset.rating,
                taken_at=asset.taken_at,
                asset_id=asset.id,
            )
            for asset in self._assets.values()
        )

    def read(self, drawn: Sequence[Candidate]) -> Iterator[Original]:
        """Load the previews of the drawn photos, in order."""
        running: deque[Future[Original]] = deque()
        waiting = iter(drawn)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="immich") as pool:
            try:
                for candidate in waiting:
                    running.append(pool.submit(self._fetch, candidate))
                    if len(running) == _AHEAD:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                # The reader may stop early: cancel what has not started.
                pool.shutdown(cancel_futures=True)

    def _fetch(self, candidate: Candidate) -> Original:
        try:
            content = self._immich.preview(self._assets[candidate.id])
        except ImmichError as error:
            # Immich lacks this photo or fails on it; any other error concerns all photos.
            if not isinstance(error, GoneError) and error.status != 500:
                raise
            return Original(failure="image_missing")
        return Original(content=content)
