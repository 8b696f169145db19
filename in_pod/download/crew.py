"""The threads of a run, and two of them: the one that flushes and the one that hashes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from .journal import MIB
from .transfer import Transfer

FLUSH_BYTES = 32 * MIB
"""Written bytes of a file after which it is flushed: NFS is slower than the network, and dirty
pages count against the pod's memory limit. Twice as many bytes pause the connections."""


class Crew:
    """Threads that end together: the first error ends all of them and is kept."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self.changed = threading.Condition()
        """Guards the shared state; notified when it changes."""
        self.ending = threading.Event()
        self.error: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start(self, *targets: Callable[[], None]) -> None:
        """Start a thread for each target."""
        for target in targets:
            thread = threading.Thread(target=self._guard, args=(target,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def notify(self) -> None:
        """Wake the threads that wait for a change."""
        with self.changed:
            self.changed.notify_all()

    def end(self) -> bool:
        """Tell all threads to end; return whether they did within a few seconds."""
        self.ending.set()
        self.notify()
        # A connection may block in a read for longer than the pod's grace period.
        end = time.monotonic() + 3
        for thread in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _guard(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            with self.changed:
                if not self.ending.is_set():
                    self.error = error
                self.ending.set()
                self.changed.notify_all()


class Flusher:
    """Flushes a file after enough written bytes, and pauses its connections after too many."""

    def __init__(self, transfers: Iterable[Transfer], crew: Crew) -> None:
        """Start with nothing written."""
        self._crew = crew
        self._unsynced = dict.fromkeys(transfers, 0)

    def add(self, transfer: Transfer, count: int) -> None:
        """Count written bytes, and wait while too many are not flushed."""
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


class Hasher:
    """Hashes the downloaded bytes, read back from the volume, and reports complete files."""

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
            crew: The threads that this one belongs to.
            right: Called with a complete file whose sha256 is correct.
            wrong: Called with a complete file whose sha256 is wrong.
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
        """Hash the new bytes of a file; return whether there were any."""
        if transfer.finished:
            return False
        hashed = transfer.hash_front(self._buffer, FLUSH_BYTES)
        if transfer.hashed_whole:
            (self._right if transfer.is_right() else self._wrong)(transfer)
        return hashed > 0
