"""The common part of all charts: a wide and a narrow drawing, and a table of the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ops.commands.bench.report.svg import element

MOST_NAMED = 6
"""Models whose names fit into a drawing; for more, a legend below explains the marks."""
WIDE, NARROW = 720, 340
"""A drawing's width in pixels: text keeps its size, also on a phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart."""

    title: str
    description: str
    """The content in words, for screen readers."""
    drawings: tuple[Markup, ...]
    """Wide and narrow."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The first cell is the row's name."""
    legend: tuple[tuple[Markup, str], ...] = ()
    """Marks and their names, if names do not fit into the drawing."""


Draw = Callable[[int], tuple[float, Iterable[Markup]]]
"""Returns height and parts of the drawing for a width."""


def chart(
    *,
    id: str,
    title: str,
    description: str,
    draw: Draw,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    legend: Iterable[tuple[Markup, str]] = (),
) -> Chart:
    """Draw a chart in both widths."""
    return Chart(
        title=title,
        description=description,
        drawings=tuple(
            _drawing(f"{id}-{name}", name, title, description, width, *draw(width))
            for name, width in (("wide", WIDE), ("narrow", NARROW))
        ),
        columns=tuple(columns),
        rows=tuple(tuple(row) for row in rows),
        legend=tuple(legend),
    )


def _drawing(
    id: str,
    name: str,
    title: str,
    description: str,
    width: int,
    height: float,
    parts: Iterable[Markup],
) -> Markup:
    return element(
        "svg",
        element("title", title, id=f"{id}-title"),
        element("desc", description, id=f"{id}-desc"),
        *parts,
        class_=f"drawing {name}",
        viewBox=f"0 0 {width} {height:.0f}",
        role="img",
        aria_labelledby=f"{id}-title",
        aria_describedby=f"{id}-desc",
    )
