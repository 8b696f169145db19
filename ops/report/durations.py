"""Durations and times as a person writes and reads them."""

from __future__ import annotations

import re
from datetime import datetime

_DURATION = re.compile(r"(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_MOST_S = 24 * 3600


def duration_s(text: str) -> int:
    """Read a duration such as 30m, 90s, 2h or 1h30m.

    Returns:
        Seconds.

    Raises:
        ValueError: if it is not a duration between a second and a day.
    """
    match = _DURATION.fullmatch(text.strip())
    expected = "expected 1s to 24h, such as 90s, 30m or 1h30m"
    if match is None:
        raise ValueError(f"{text!r} is not a duration; {expected}")
    hours, minutes, seconds = (int(number or 0) for number in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not 1 <= total <= _MOST_S:
        raise ValueError(f"{text!r} is too {'long' if total else 'short'}; {expected}")
    return total


def span(seconds: float) -> str:
    """Write a duration: `29m 40s`."""
    total = max(0, round(seconds))
    parts = ((total // 3600, "h"), (total % 3600 // 60, "m"), (total % 60, "s"))
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def clock(moment: float) -> str:
    """Write a time in this machine's time zone, with the date unless it is today."""
    local = datetime.fromtimestamp(moment).astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")
