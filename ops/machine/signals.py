"""An end by signal as an exception, so that what was started is ended again."""

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
    """Write a line to stderr from a handler: a print may be what the signal came into."""
    # The terminal may be gone, and with it the reader: that is one of the signals.
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


class Ending:
    """What a signal means: an end while that is possible, afterwards only a word that it waits."""

    def __init__(self, note: str) -> None:
        self._note = note
        self._number = 0
        self._possible = False

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Let the first signal end what runs in the context: SystemExit, or KeyboardInterrupt."""
        self._possible = True
        try:
            if self._number:
                self._raise()
            yield
        finally:
            self._possible = False

    def sleep(self, seconds: float) -> None:
        """Sleep, and let a signal end it, also one that came before.

        Raised anywhere else, the end could come into the middle of starting a process or of
        asking after it: the process would be lost, or its lock held for ever.
        """
        with self.possible():
            time.sleep(seconds)

    @property
    def is_asked_for(self) -> bool:
        """Whether a signal came."""
        return bool(self._number)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: no lock, as the signal may have come into what holds it."""
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
    """Let signals end only what may be ended, while the context lasts.

    Args:
        note: What is said to whoever signals while nothing may be ended.
    """
    ending = Ending(note)
    with _handled(_ALL, ending.receive):
        yield ending
