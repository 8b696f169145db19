"""What every chart is: a drawing for wide and one for narrow pages, and its numbers in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ops.commands.bench.report.svg import element

MOST_NAMED = 6
"""Models whose names have room in a drawing; of more the marks are explained below it."""
WIDE, NARROW = 720, 340
"""A drawing's width in pixels: its text keeps its size, on a phone too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart."""

    title: str
    description: str
    """What is seen, in a sentence, for who does not see it."""
    drawings: tuple[Markup, ...]
    """Wide and narrow."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The first cell names the row."""
    legend: tuple[tuple[Markup, str], ...] = ()
    """Marks and what they are, where the drawing has no room for names."""


Draw = Callable[[int], tuple[float, Iterable[Markup]]]
"""From a width to a height and the parts of the drawing."""


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
