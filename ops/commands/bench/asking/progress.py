"""The progress that the operator sees: a bar on a terminal, lines on a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ops.errors import one_line

_LONGEST = 1000
_LINE_EVERY_S = 15.0
_PACE_OF = 30
"""The latest answers, over which the pace is computed."""


class Display:
    """The progress of a run."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Show nothing yet.

        Args:
            console: On stderr, so that stdout has nothing but --json.
            clock: In seconds (default: the machine's).
        """
        self._console = console
        self._clock = clock
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, pace="", visible=False)
        self._model = self._what = ""
        self._done = self._total = 0
        self._times: list[float] = []
        self._said_at = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Show one line above the bar, whatever the text contains."""
        text = escape(one_line(line, limit=_LONGEST))
        self._console.print(f"[dim]-[/dim] {text}", highlight=False, soft_wrap=True)

    def begin(self, model: str, what: str, *, done: int, total: int) -> None:
        """Switch to another model, and count `what`."""
        self._model, self._what, self._done, self._total = model, what, done, total
        self._times = [self._clock()]
        self._said_at = self._clock()
        self._update()

    def shrink(self, total: int) -> None:
        """Reduce the number of questions."""
        self._total = total
        self._update()

    def answered(self) -> None:
        """Count one more answer."""
        self._done += 1
        now = self._clock()
        self._times = [*self._times, now][-_PACE_OF:]
        self._update()
        if self._bar.disable and now - self._said_at >= _LINE_EVERY_S:
            self._said_at = now
            self.say(f"{self._model}: {self._done} of {self._total}, {self._pace()}")

    def _pace(self) -> str:
        passed = self._times[-1] - self._times[0]
        if len(self._times) < 2 or passed <= 0:
            return ""
        per_minute = 60 * (len(self._times) - 1) / passed
        left_s = max(0, self._total - self._done) * 60 / per_minute
        return f"{per_minute:.1f} {self._what} a minute, {_duration(left_s)} left"

    def _update(self) -> None:
        self._bar.update(
            self._task,
            description=self._model,
            completed=self._done,
            total=self._total,
            pace=self._pace(),
            visible=True,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
