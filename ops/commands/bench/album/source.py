"""What a folder and an Immich album have in common as sources of photos."""

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
    """The same in every run: the path in the folder, or Immich's asset id."""
    name: str
    """The owner's name for it: valid text, but with any content."""
    original: str
    """Equal for files with equal bytes, and only for those."""
    favourite: bool | None = None
    rating: int | None = None
    taken_at: float | None = None
    asset_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A photo's bytes as the source stores them, or why they are missing."""

    content: bytes = b""
    failure: Failure | None = None


class Source(Protocol):
    """A folder or an album."""

    @property
    def title(self) -> str:
        """The source as the owner typed it, for results and errors."""

    def candidates(self, say: Say) -> tuple[Candidate, ...]:
        """Find all photos, including equal ones.

        Raises:
            OpsError: when there are no photos.
        """

    def read(self, drawn: Sequence[Candidate]) -> Iterator[Original]:
        """Read the bytes of the drawn photos, in order."""
