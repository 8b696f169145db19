"""Numbers of an answer: its JSON, as Python reads it, also holds NaN and infinity."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> float | None:
    """Read a number; None: there is none, or none that a float holds."""
    try:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: Any) -> int | None:
    """Read a count; None: there is none."""
    return value if type(value) is int else None
