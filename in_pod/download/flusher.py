"""The thread that pushes written pages to the volume."""

from __future__ import annotations

from collections.abc import Iterable

from .crew import Crew
from .journal import MIB
from .transfer import Transfer

FLUSH_BYTES = 32 * MIB
"""Written pages are pushed out this often: NFS takes them more slowly than the network gives them,
and the ones that wait count against the pod's memory limit. Twice as many stop the connections."""


class Flusher:
    """Flushes a file when enough of it waits, and holds connections up while too much does."""

    def __init__(self, transfers: Iterable[Transfer], crew: Crew) -> None:
        """Nothing waits yet."""
        self._crew = crew
        self._unsynced = dict.fromkeys(transfers, 0)

    def add(self, transfer: Transfer, count: int) -> None:
        """Note that so many bytes were written, and wait while too many are not flushed."""
        with self._crew.changed:
            self._unsynced[transfer] += count
            if self._unsynced[transfer] >= FLUSH_BYTES:
                self._crew.changed.notify_all()
            while self._unsynced[transfer] >= 2 * FLUSH_BYTES and not self._crew.ending.is_set():
                self._crew.changed.wait(0.5)

    def __call__(self) -> None:
        """Flush until the run ends."""
        while not self._crew.ending.is_set():
            with self._crew.changed:
                full = [item for item in self._unsynced.items() if item[1] >= FLUSH_BYTES]
                if not full:
                    self._crew.changed.wait(0.5)
                    continue
            for transfer, count in full:
                transfer.flush()
                with self._crew.changed:
                    self._unsynced[transfer] -= count
                    self._crew.changed.notify_all()
