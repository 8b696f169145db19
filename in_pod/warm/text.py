"""What a person reads of the warm-up."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes a line."""


def size_text(size_bytes: float) -> str:
    """Say a number of bytes as a person would."""
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.1f} MiB"
    return f"{size_bytes / 2**30:.2f} GiB"
