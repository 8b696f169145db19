"""The thread whose sha256 follows the files on the volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .crew import Crew
from .flusher import FLUSH_BYTES
from .journal import MIB
from .transfer import Transfer


class Hasher:
    """Hashes what has come, read back from the volume, and says of a whole file what it is."""

    def __init__(
        self,
        transfers: Sequence[Transfer],
        crew: Crew,
        *,
        right: Callable[[Transfer], None],
        wrong: Callable[[Transfer], None],
    ) -> None:
        """Hash nothing yet.

        Args:
            transfers: The files.
            crew: Whose thread it is.
            right: Takes a file whose sha256 is the planned one.
            wrong: Takes one with another sha256.
        """
        self._transfers = transfers
        self._crew = crew
        self._right = right
        self._wrong = wrong
        self._buffer = memoryview(bytearray(MIB))

    def __call__(self) -> None:
        """Hash until the run ends."""
        while not self._crew.ending.is_set():
            if not any(self._hash_on(transfer) for transfer in self._transfers):
                self._crew.ending.wait(0.02)

    def _hash_on(self, transfer: Transfer) -> bool:
        """Hash what has come of a file; whether anything had."""
        if transfer.finished:
            return False
        hashed = transfer.hash_front(self._buffer, FLUSH_BYTES)
        if transfer.hashed_whole:
            (self._right if transfer.is_right() else self._wrong)(transfer)
        return hashed > 0
