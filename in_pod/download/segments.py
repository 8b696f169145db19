"""Which connection fills which segment of which file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from .crew import Crew
from .transfer import Transfer


class Segments:
    """Hands out the segments that lack bytes, each to one connection, until all files are done."""

    def __init__(self, transfers: Sequence[Transfer], crew: Crew) -> None:
        """Hand out none yet."""
        self.unfinished = len(transfers)
        """Files that are not complete and checked."""
        self._crew = crew
        self._claimed: dict[Transfer, set[int]] = {transfer: set() for transfer in transfers}
        self._taken_whole: set[Transfer] = set()
        """Files that one connection takes from their start: their server knows no ranges."""
        self._not_before = 0.0

    def take(self, put_off: Mapping[Transfer, float]) -> tuple[Transfer, int] | None:
        """Wait for a segment to fill, and claim it; None when there is nothing left to do.

        Args:
            put_off: Until when this connection leaves a file to others, after it failed with it.
        """
        with self._crew.changed:
            while not self._crew.ending.is_set() and self.unfinished:
                now = time.monotonic()
                for transfer, claimed in self._claimed.items():
                    if (
                        transfer in self._taken_whole
                        or max(put_off.get(transfer, 0), self._not_before) > now
                    ):
                        continue
                    index = next(self._unclaimed(transfer), None)
                    if index is not None:
                        claimed.add(index)
                        return transfer, index
                pauses = (until - now for until in put_off.values())
                self._crew.changed.wait(
                    min([0.5, *(pause_s for pause_s in pauses if pause_s > 0)])
                )
        return None

    def release(self, transfer: Transfer, *indices: int) -> None:
        """Let others fill segments that were claimed, or see that they are full."""
        with self._crew.changed:
            self._claimed[transfer].difference_update(indices)
            self._crew.changed.notify_all()

    def take_whole(self, transfer: Transfer, index: int) -> list[int]:
        """Claim all that nobody fills of a file whose server knows no ranges.

        Args:
            transfer: The file.
            index: The segment of it that the connection has.

        Returns:
            That segment and the others; none where another connection has the file already.
        """
        with self._crew.changed:
            if transfer in self._taken_whole:
                return []
            self._taken_whole.add(transfer)
            others = list(self._unclaimed(transfer))
            self._claimed[transfer].update(others)
            return [index, *others]

    def release_whole(self, transfer: Transfer, ours: list[int]) -> None:
        """Give a file back; the segment for which the connection came stays its own."""
        with self._crew.changed:
            self._taken_whole.discard(transfer)
        self.release(transfer, *ours[1:])

    def pause(self, wait_s: float) -> None:
        """Hand out nothing for a while: the server asks for that."""
        self._not_before = time.monotonic() + wait_s

    def finish(self) -> None:
        """Count a file as done."""
        with self._crew.changed:
            self.unfinished -= 1
            self._crew.changed.notify_all()

    def _unclaimed(self, transfer: Transfer) -> Iterator[int]:
        claimed = self._claimed[transfer]
        return (index for index in transfer.lacking() if index not in claimed)
