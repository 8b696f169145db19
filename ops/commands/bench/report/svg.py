"""Handwritten SVG: elements, a linear scale, and round numbers along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ops.commands.bench.words import clean

SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",  # circle
    "M-4.5 -4.5h9v9h-9z",  # square
    "M0 -6L5.6 4.4H-5.6z",  # triangle
    "M0 -6.4L6.4 0L0 6.4L-6.4 0z",  # diamond
    "M0 6L5.6 -4.4H-5.6z",  # triangle that points down
    "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",  # cross
)
"""One per model; from the seventh model on they are hollow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps a value to a position on the page."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position, clamped to the ends."""
        span = self.high - self.low
        share = 0.5 if span <= 0 else (value - self.low) / span
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))


def element(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """Return an element; a trailing `_` of an attribute is dropped, others become dashes.

    Args:
        name: The element's name.
        children: Text is escaped.
        attributes: Numbers are rounded to a tenth; None is skipped.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(
        child if isinstance(child, Markup) else escape(clean(child)) for child in children
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, inside)


def text(x: float, y: float, words: str, kind: str = "", anchor: str | None = None) -> Markup:
    """Return a line of text."""
    return element("text", words, x=x, y=y, class_=kind or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a line."""
    return element("path", d=f"M{_value(x1)} {_value(y1)}L{_value(x2)} {_value(y2)}", class_=kind)


def marker(index: int, x: float, y: float, title: str = "") -> Markup:
    """Return a model's mark."""
    return element(
        "path",
        *([element("title", title)] if title else []),
        d=SHAPES[index % len(SHAPES)],
        class_=f"mark {colour(index)}{' hollow' if index >= len(SHAPES) else ''}",
        transform=f"translate({_value(x)} {_value(y)})",
    )


def key(index: int) -> Markup:
    """Return a model's mark for use in a line of text."""
    return element(
        "svg", marker(index, 8, 8), class_="key", viewBox="0 0 16 16", aria_hidden="true"
    )


def colour(index: int) -> str:
    """Return the class of a model's colour."""
    return f"m{index % len(SHAPES)}"


def ticks(low: float, high: float, most: int = 6) -> Sequence[float]:
    """Return round numbers from low to high."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return (low,)
    rough = span / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    numbers = []
    while first * step <= high + step * 1e-9:
        numbers.append(round(first * step, 10))
        first += 1
    return tuple(numbers)


def tick_text(value: float) -> str:
    """Return an axis label."""
    return f"{value:g}".replace("-", "\u2212")


def _value(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
