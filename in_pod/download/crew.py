"""The threads of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


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
