"""Write the values of a field before and after."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from ops.report.document import Line, Value
from ops.report.redaction import MARK, is_secret_name, redact_all
from ops.report.words import count
from ops.terraform.changed_fields import is_given

_LONG = 200
"""Longer texts, in characters, are not shown but counted by line."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_kept(parts: Sequence[str]) -> bool:
    """Whether the value at a path is secret: `env[HF_TOKEN].value`, `data[password]`."""
    names = parts[-2:-1] if parts[-1:] == ("value",) else parts[-1:]
    return is_secret_name(name for part in names for name in part.strip("[]").split(".")[-1:])


def before_and_after(parts: Sequence[str], before: Any, after: Any) -> tuple[Line, Line]:
    """Write both values; of long texts only the number of changed lines."""
    if is_kept(parts):
        return _kept(before), _kept(after)
    if any(isinstance(value, str) and _is_long(value) for value in (before, after)):
        if not isinstance(before, str) or not isinstance(after, str):
            return _long(before), _long(after)
        changed = _changed_lines(before, after)
        return ("text",), (f"text, {count(changed, 'line')} changed",)
    return _short(before), _short(after)


def _kept(value: Any) -> Line:
    if isinstance(value, bool) or not is_given(value):
        return _short(value)
    return (Value(MARK),)


def _short(value: Any) -> Line:
    if not is_given(value) or value == "":
        return ()
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return (Value(f"{value[:16]}..."),)
    if isinstance(value, str):
        return (Value(value),)
    return (Value(json.dumps(redact_all(value), ensure_ascii=False)),)


def _long(value: Any) -> Line:
    if isinstance(value, str) and _is_long(value):
        return (f"text, {count(len(_lines(value)), 'line')}",)
    return _short(value)


def _is_long(text: str) -> bool:
    return "\n" in text or len(text) > _LONG


def _lines(text: str) -> list[str]:
    # Not splitlines, which also splits at characters that do not end a line of a file.
    return text.removesuffix("\n").split("\n")


def _changed_lines(before: str, after: str) -> int:
    matcher = difflib.SequenceMatcher(a=_lines(before), b=_lines(after))
    return sum(
        max(old_end - old, new_end - new)
        for tag, old, old_end, new, new_end in matcher.get_opcodes()
        if tag != "equal"
    )
