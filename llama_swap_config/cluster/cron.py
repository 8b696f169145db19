"""The schedules that a CronJob accepts: those of robfig/cron, which Kubernetes uses."""

from __future__ import annotations

import re

from llama_swap_config.errors import require_setting

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []),
    (0, 23, []),
    (1, 31, []),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
"""Least and greatest value of minute, hour, day, month and day of the week, and names."""
_RANGE = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/0*([1-9]\d{0,2}))?", re.ASCII)
_WORD = re.compile(
    r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every (\d{1,9}[hms])+)", re.ASCII
)


def require_schedule(name: str, value: str, suffix: str = "") -> None:
    """Check a schedule of the settings.

    Args:
        name: The setting.
        value: Its value.
        suffix: What else the setting accepts.

    Raises:
        ConfigError: when Kubernetes would refuse the schedule.
    """
    expected = (
        "five fields of cron, such as '17 4 * * 0', or @hourly, @daily, @weekly, @monthly, "
        f"@yearly or @every 6h{suffix}"
    )
    require_setting(is_schedule(value), name, value, expected)


def is_schedule(text: str) -> bool:
    """Whether a CronJob accepts a schedule; without a time zone, which is a field of its own."""
    fields = text.split(" ")
    return _WORD.fullmatch(text) is not None or (
        len(fields) == len(_FIELDS)
        and all(
            _is_within(part, *bounds)
            for field, bounds in zip(fields, _FIELDS, strict=True)
            for part in field.split(",")
        )
    )


def _is_within(part: str, least: int, greatest: int, names: list[str]) -> bool:
    match = _RANGE.fullmatch(part)
    if match is None:
        return False
    first, last, _ = match.groups()
    if first is None:  # * or ?
        return True
    numbers = [_number(word, least, names) for word in (first, last or first)]
    return least <= numbers[0] <= numbers[1] <= greatest


def _number(word: str, least: int, names: list[str]) -> int:
    if word.lower() in names:
        return least + names.index(word.lower())
    return int(word) if word.isdigit() and len(word) <= 3 else -1
