"""The table of `cache`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ops.machine.cache_entries import Entry
from ops.report.terminal import titled_table
from ops.report.words import size


def show(console: Console, cache: Path, entries: Sequence[Entry]) -> None:
    """Print the builds of a cache.

    Args:
        console: The terminal.
        cache: The cache's directory.
        entries: Its builds.
    """
    table = titled_table("Builds", "build", "key", "size", "last use", "used by", right=("size",))
    for entry in entries:
        table.add_row(
            entry.folder.name,
            entry.key,
            size(entry.size_bytes),
            _ago(time.time() - entry.used_at),
            used_by(entry),
        )
    console.print(table)
    total = size(sum(entry.size_bytes for entry in entries))
    unused = size(sum(entry.size_bytes for entry in entries if not entry.is_used))
    line = f"\n{total} in {cache}, {unused} of it unused"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def used_by(entry: Entry) -> str:
    """Name who uses a build."""
    others = len(entry.checkouts) - entry.is_used_here
    users = [
        *(["this checkout"] if entry.is_used_here else []),
        *([f"{others} other checkout{'s' if others > 1 else ''}"] if others else []),
        *(["a running program"] if entry.is_running else []),
    ]
    return ", ".join(users) or "nobody"


def _ago(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours / 24:.0f} days ago" if hours >= 48 else f"{max(0, hours):.0f} h ago"
