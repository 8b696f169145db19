"""Where the photos of a run come from, as typed and as stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ops.commands.bench.album.folder import Folder
from ops.commands.bench.album.immich_album import ImmichAlbum
from ops.commands.bench.album.source import Source
from ops.immich.api import Immich
from ops.immich.http import ImmichHttp, api_key


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotosFrom:
    """The source of a run's photos: a folder, or an album in Immich."""

    folder: Path | None = None
    judgement: Path | None = None
    """The owner's CSV (default: favourites.csv in the folder, if it exists)."""
    immich: str | None = None
    album: str | None = None

    @property
    def text(self) -> str | None:
        """The source in words; None: nothing was typed."""
        if self.folder is not None:
            return str(self.folder)
        return None if self.immich is None else f"album {self.album} of {self.immich}"

    def as_document(self) -> dict[str, str | None]:
        """Return the source as plain data, which `of` reads."""
        return {
            "folder": None if self.folder is None else str(self.folder.resolve()),
            "judgement": None if self.judgement is None else str(self.judgement.resolve()),
            "immich": self.immich,
            "album": self.album,
        }

    @classmethod
    def of(cls, document: Mapping[str, str | None]) -> Self:
        """Read the source with which a run was started."""
        folder, judgement = document["folder"], document["judgement"]
        return cls(
            folder=None if folder is None else Path(folder),
            judgement=None if judgement is None else Path(judgement),
            immich=document["immich"],
            album=document["album"],
        )

    @contextmanager
    def opened(self, *, leave_out: Path) -> Iterator[Source]:
        """Open the folder, or connect to Immich with the key of the environment.

        Args:
            leave_out: A subfolder to skip, because its pictures are the run's own.

        Raises:
            OpsError: when Immich is not reachable, or refuses the key.
        """
        if self.folder is not None:
            yield Folder(path=self.folder, judgement=self.judgement, leave_out=leave_out)
            return
        with Immich(ImmichHttp(self.immich or "", key=api_key())) as server:
            yield ImmichAlbum(server, self.album or "")
