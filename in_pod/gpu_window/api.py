"""What a window needs of an API server, and how long it waits for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .contract import DEAD_S

Document = dict[str, Any]
Say = Callable[[str], None]


class Api(Protocol):
    """A connection to an API server, which asks once."""

    def request(
        self, method: str, path: str, body: Document | None = None
    ) -> tuple[int, Document]:
        """Ask; ConnectionError when no answer comes. PATCH is a JSON merge patch."""

    def now(self) -> float:
        """The API server's clock, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often is looked, and for how long."""

    poll_s: float = 1.0
    renew_s: float = 10.0
    """Between two heartbeats."""
    lease_s: int = DEAD_S
    """What the Lease says of itself: without a heartbeat for so long, its owner is dead."""
    gone_s: float = 180.0
    """For llama-swap's pod to go while the card is given back; it drains for up to 50 s."""
    ready_s: float = 600.0
    """For the others to be ready again: they may load models first."""
    patience_s: float = 300.0
    """For an API server that does not answer to answer again."""
    immich_patience_s: float = 30.0
    """For Immich; shorter than a Lease lives without a heartbeat."""
