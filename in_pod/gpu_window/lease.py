"""What the Lease of a window says."""

from __future__ import annotations

from collections.abc import Callable

from ..kubernetes.api import Document
from ..kubernetes.times import parse_time
from .contract import ANNOTATION, DEAD_S, LONGEST_S
from .record import Record, parse_record


class WindowLease:
    """A window's Lease as the API server answered it; everything is empty if there is none."""

    def __init__(self, document: Document, now: Callable[[], float]) -> None:
        """Keep the answer.

        Args:
            document: The Lease; empty if there is none.
            now: Returns the API server's time, in seconds since 1970.
        """
        self._lease = document
        self.now = now

    @property
    def holder(self) -> str:
        """The holder; empty if nobody holds it and something is not restored."""
        text = str(self._spec.get("holderIdentity") or "")
        return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]

    @property
    def acquired(self) -> float:
        """When it was acquired, in seconds since 1970."""
        return self._moment("acquireTime")

    @property
    def renewed(self) -> float:
        """Time of the last heartbeat."""
        return self._moment("renewTime")

    @property
    def silent_s(self) -> float:
        """Seconds since the last heartbeat."""
        return self.now() - self.renewed

    @property
    def is_dead(self) -> bool:
        """Whether it has no live holder.

        A heartbeat from the future does not count, and nobody may stay silent for longer than
        `DEAD_S`: whoever may write a Lease could otherwise keep a window open for ever.
        """
        limit_s = min(self._spec.get("leaseDurationSeconds") or DEAD_S, DEAD_S)
        return not self.holder or not -DEAD_S <= self.silent_s <= limit_s

    @property
    def deadline(self) -> float:
        """When it has to end, in seconds since 1970.

        At most `LONGEST_S` after a heartbeat that is not of the future, whatever the record says.
        """
        renewed = self.renewed if self.silent_s >= -DEAD_S else 0
        return min(self.record.deadline, renewed + LONGEST_S)

    @property
    def record(self) -> Record:
        """What to restore."""
        return parse_record((self._lease["metadata"].get("annotations") or {}).get(ANNOTATION))

    @property
    def _spec(self) -> Document:
        return self._lease.get("spec") or {}

    def _moment(self, name: str) -> float:
        try:
            return parse_time(self._spec[name])
        except (LookupError, TypeError, ValueError):
            return 0.0
