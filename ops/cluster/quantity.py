"""Kubernetes quantities. The API server may rewrite one: `1000m` as `1`."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]i|[kMGTP]|m)?", re.ASCII)
_FACTORS: dict[str | None, Fraction] = {
    None: Fraction(1),
    "m": Fraction(1, 1000),
    **{unit: Fraction(1000 ** (power + 1)) for power, unit in enumerate("kMGTP")},
    **{f"{unit}i": Fraction(1024 ** (power + 1)) for power, unit in enumerate("KMGTP")},
}


def quantity(value: Any) -> Fraction | None:
    """Read a quantity; None if the value is not one."""
    match = _QUANTITY.fullmatch(str(value))
    return None if match is None else Fraction(match[1]) * _FACTORS[match[2]]
