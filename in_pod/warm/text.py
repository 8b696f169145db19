"""Lines and sizes as text."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Prints a line."""


def size_text(size_bytes: float) -> str:
    """Format a number of bytes."""
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.1f} MiB"
    return f"{size_bytes / 2**30:.2f} GiB"
