"""The threads of a run: all of them together, the one that flushes and the one that hashes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from .journal import MIB
from .transfer import Transfer

FLUSH_BYTES = 32 * MIB
"""Written pages are pushed out this often: NFS takes them more slowly than the network gives them,
and the ones that wait count against the pod's memory limit. Twice as many stop the connections."""


class Crew:
    """Threads that end together: the first error of one of them ends all, and is kept."""

    def __init__(self) -> None:
        """Start none yet."""
        self.changed = threading.Condition()
        """Guards what the threads share; notified when something of that may be waited for."""
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
        """Wake whoever waits for a change."""
        with self.changed:
            self.changed.notify_all()

    def end(self) -> bool:
        """Tell all threads to end; whether they have, after a few seconds."""
        self.ending.set()
        self.notify()
        # A connection may hang in its read for longer than the pod has to end.
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
