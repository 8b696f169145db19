"""Kubernetes' spelling of a time."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> float:
    """Parse a time of Kubernetes into seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def time_text(moment: float) -> str:
    """Format a time as Kubernetes does, with microseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:26] + "Z"
