"""Assign segments to connections."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from .crew import Crew
from .transfer import Transfer


class Segments:
    """Assigns each incomplete segment to one connection until all files are done."""

    def __init__(self, transfers: Sequence[Transfer], crew: Crew) -> None:
        """Assign no segment yet."""
        self.unfinished = len(transfers)
        """Number of files that are not complete and checked."""
        self._crew = crew
        self._claimed: dict[Transfer, set[int]] = {transfer: set() for transfer in transfers}
        self._taken_whole: set[Transfer] = set()
        """Files that one connection downloads as a whole, because the server has no ranges."""
        self._not_before = 0.0

    def take(self, put_off: Mapping[Transfer, float]) -> tuple[Transfer, int] | None:
        """Wait for an incomplete segment and claim it; None when all files are done.

        Args:
            put_off: File -> time before which this connection does not retry it.
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
        """Release claimed segments, complete or not."""
        with self._crew.changed:
            self._claimed[transfer].difference_update(indices)
            self._crew.changed.notify_all()

    def take_whole(self, transfer: Transfer, index: int) -> list[int]:
        """Claim all unclaimed segments of a file whose server has no ranges.

        Args:
            transfer: The file.
            index: The segment that the connection has claimed.

        Returns:
            That segment and the others; empty if another connection downloads the file.
        """
        with self._crew.changed:
            if transfer in self._taken_whole:
                return []
            self._taken_whole.add(transfer)
            others = list(self._unclaimed(transfer))
            self._claimed[transfer].update(others)
            return [index, *others]

    def release_whole(self, transfer: Transfer, ours: list[int]) -> None:
        """Release a file except for the segment that the connection had claimed first."""
        with self._crew.changed:
            self._taken_whole.discard(transfer)
        self.release(transfer, *ours[1:])

    def pause(self, wait_s: float) -> None:
        """Assign nothing for a while, as the server requests."""
        self._not_before = time.monotonic() + wait_s

    def finish(self) -> None:
        """Count a file as done."""
        with self._crew.changed:
            self.unfinished -= 1
            self._crew.changed.notify_all()

    def _unclaimed(self, transfer: Transfer) -> Iterator[int]:
        claimed = self._claimed[transfer]
        return (index for index in transfer.lacking() if index not in claimed)
