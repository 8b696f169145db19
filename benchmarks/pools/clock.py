"""An event loop whose clock jumps to the next timer when nothing is ready to run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")


class _Clock(selectors.DefaultSelector):
    """Passes the time that a selector would wait."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("every task waits, and no timer will wake one")
            self.now_s += max(timeout, 0)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs tasks as asyncio does, at once and in an order that depends on nothing but the program.

    Code that runs takes no time. It runs in this thread alone, because the clock would not wait
    for another one.
    """

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._clock.now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Args], _Result], *args: *_Args
    ) -> asyncio.Future[_Result]:
        """Call the function in this thread."""
        future: asyncio.Future[_Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future
