"""Where photos come from: what a folder and an Immich album have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ops.commands.bench.results import Failure
from ops.report.terminal import Say


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A photo that may be drawn; its bytes are not read yet."""

    id: str
    """The same in every run: the path in the folder, or Immich's id of the asset."""
    name: str
    """What the owner calls it; valid text, though it may hold anything."""
    original: str
    """Equal for two files of equal bytes, else different."""
    favourite: bool | None = None
    rating: int | None = None
    taken_at: float | None = None
    asset_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A photo's bytes as the source has them, or why there are none."""

    content: bytes = b""
    failure: Failure | None = None


class Source(Protocol):
    """A folder or an album."""

    @property
    def title(self) -> str:
        """What the owner typed, for results and errors."""

    def candidates(self, say: Say) -> tuple[Candidate, ...]:
        """Find all photos, equal ones too.

        Raises:
            OpsError: when there are none.
        """

    def read(self, drawn: Sequence[Candidate]) -> Iterator[Original]:
        """Bring the bytes of some photos, in this order."""
