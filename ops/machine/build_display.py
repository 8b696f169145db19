"""Progress of builds that take minutes: bars on a terminal, a line every 15 s elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ops.report.terminal import CONSOLE, Say

_EVERY_S = 15
_FIRST_ESTIMATE_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Progress that can be counted."""

    done: int
    total: int
    unit: str
    """What is counted, in the plural."""


@dataclass(slots=True, kw_only=True)
class _Build:
    progress: Count | str = "starting"
    first: Count | None = None
    first_at: float = field(default_factory=time.monotonic)

    def move(self, progress: Count | str) -> None:
        counted = progress if isinstance(progress, Count) else None
        # The files that an earlier run compiled say nothing about the speed of this one.
        if counted and (self.first is None or self.first.unit != counted.unit):
            self.first, self.first_at = counted, time.monotonic()
        self.progress = progress

    def text(self, now: float) -> str:
        if isinstance(self.progress, str):
            return self.progress
        count = self.progress
        text = f"{count.done} of {count.total} {count.unit}"
        left_s = self._left_s(count, now)
        return text if left_s is None else f"{text}, {_about(left_s)} left"

    def _left_s(self, count: Count, now: float) -> float | None:
        done = count.done - (self.first.done if self.first else 0)
        seconds = now - self.first_at
        if done <= 0 or seconds < _FIRST_ESTIMATE_S or count.done >= count.total:
            return None
        return (count.total - count.done) * seconds / done


def _about(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"


class BuildDisplay:
    """Shows every build that runs, in the order of their starts."""

    def __init__(self, say: Say) -> None:
        """Show bars on the operator's terminal; elsewhere give lines to `say`."""
        self._say = say
        self._builds: dict[str, _Build] = {}
        self._lock = threading.Lock()
        self._started = self._said = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=CONSOLE,
            transient=True,
        )

    def __enter__(self) -> Self:
        if CONSOLE.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if CONSOLE.is_terminal:
            self._bars.stop()

    @contextmanager
    def build(self, name: str) -> Iterator[Callable[[Count | str], None]]:
        """Show a build while the context lasts; yield what takes its progress."""
        with self._lock:
            build = self._builds[name] = _Build()
            bar = self._bars.add_task(name, total=None, text=build.text(time.monotonic()))

        def move(progress: Count | str) -> None:
            now = time.monotonic()
            with self._lock:
                build.move(progress)
                if isinstance(progress, Count):
                    self._bars.update(bar, total=progress.total, completed=progress.done)
                self._bars.update(bar, text=build.text(now))
                if not CONSOLE.is_terminal and now - self._said >= _EVERY_S:
                    self._said = now
                    self._say(self._line(now))

        try:
            yield move
        finally:
            with self._lock:
                del self._builds[name]
                self._bars.remove_task(bar)

    def _line(self, now: float) -> str:
        builds = "; ".join(f"{name}: {build.text(now)}" for name, build in self._builds.items())
        return f"  {now - self._started:4.0f} s, {builds}"
