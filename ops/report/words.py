"""Write sizes, times and counts for a person."""

from __future__ import annotations


def size(size_bytes: float) -> str:
    """Write bytes: `2.4 GiB`."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes:.0f} bytes"


def mib(value: float) -> str:
    """Write MiB of the card: `2.4 GiB`."""
    return f"{value / 1024:.1f} GiB" if abs(value) >= 1024 else f"{value:.0f} MiB"


def duration(seconds: float) -> str:
    """Write a time: `5 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `2 lines`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
