"""Numbers of an answer: Python's JSON reader also accepts NaN and infinity."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> float | None:
    """Return a number; None: it is missing, or not a finite float."""
    try:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: Any) -> int | None:
    """Return a count; None: it is missing."""
    return value if type(value) is int else None
