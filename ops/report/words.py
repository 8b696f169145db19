"""Numbers in words."""

from __future__ import annotations


def size(size_bytes: float) -> str:
    """Say bytes as a person would."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes:.0f} bytes"


def mib(value: float) -> str:
    """Say MiB of the card as a person would."""
    return f"{value / 1024:.1f} GiB" if abs(value) >= 1024 else f"{value:.0f} MiB"


def duration(seconds: float) -> str:
    """Say a time as a person would."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """Say how many of something."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
