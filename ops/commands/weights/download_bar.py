"""Progress bars of a download: one for each file and one for all."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)

from in_pod.download import progress as download


class DownloadBar:
    """A `Report` that draws progress bars; printed lines appear above them."""

    def __init__(self, console: Console) -> None:
        """Draw on a console while the context lasts."""
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(binary_units=True),
            TextColumn("{task.fields[pace]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bars.stop()

    def __call__(self, progress: download.Progress) -> None:
        """Update the bars."""
        for file, done_bytes in progress.files:
            self._move(file.sha256, file.name, file.size_bytes, done_bytes)
        self._move("all", "all", progress.total_bytes, progress.done_bytes, progress.pace())

    def _move(self, key: str, name: str, total: int, done: int, pace: str = "") -> None:
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(name, total=total, pace=pace)
        self._bars.update(self._tasks[key], completed=done, pace=pace)
