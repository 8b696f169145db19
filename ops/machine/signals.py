"""Turn signals into exceptions, so that a command can stop what it started."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit while the context lasts."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # Python lets only the main thread change what signals do.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled((signal.SIGTERM, signal.SIGHUP), end):
        yield


def _note(note: str) -> None:
    """Write a line to stderr from a handler, which may have interrupted a print."""
    # The terminal may be gone: SIGHUP is one of the signals.
    with suppress(OSError):
        os.write(2, f"{note}\n".encode())


@contextmanager
def _handled(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def passed_on(pass_on: Callable[[int], None]) -> Iterator[None]:
    """Give each signal to a function while the context lasts; it does not end the command."""
    with _handled(_ALL, lambda number, _frame: pass_on(number)):
        yield


class Ending:
    """Handles signals: an exception where the command may end, otherwise a note that it waits."""

    def __init__(self, note: str) -> None:
        self._note = note
        self._number = 0
        self._possible = False

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Let the first signal raise SystemExit or KeyboardInterrupt within the context."""
        self._possible = True
        try:
            if self._number:
                self._raise()
            yield
        finally:
            self._possible = False

    def sleep(self, seconds: float) -> None:
        """Sleep until a signal comes, or return at once with its exception if one came before.

        Elsewhere the exception could interrupt the start or the check of a process, which would
        lose the process or leave its lock held.
        """
        with self.possible():
            time.sleep(seconds)

    @property
    def is_asked_for(self) -> bool:
        """Whether a signal was received."""
        return bool(self._number)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal, without a lock: the signal may have interrupted its holder."""
        self._number = number
        if self._possible:
            self._raise()
        _note(self._note)

    def _raise(self) -> None:
        self._possible = False
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self._number)


@contextmanager
def ended_once(note: str) -> Iterator[Ending]:
    """Let signals end the command only where that is possible, while the context lasts.

    Args:
        note: Printed for a signal while the command may not end.
    """
    ending = Ending(note)
    with _handled(_ALL, ending.receive):
        yield ending
