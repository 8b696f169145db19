"""Write SVG for light and dark pages, without a plotting library."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

WIDTH = 760


def document(
    lines: Iterable[str], *, height: float, title: str, description: str, style: str
) -> str:
    """Make a whole SVG document.

    Args:
        lines: The elements on its page.
        height: In pixels.
        title: What a screen reader reads first.
        description: The same figure in words.
        style: CSS, with a class `page`.
    """
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'width="{WIDTH}" height="{height}" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(description)}</desc>',
        f"<style>{style}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
    )
    return "\n".join([*head, *lines, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    """Write a line of text, styled by a CSS class."""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def bar(kind: str, x: float, top: float, width: float, height: float, title: str) -> str:
    """Draw a part of a bar, with a tooltip."""
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{top}" width="{max(width, 0.5):.1f}" '
        f'height="{height}"><title>{escape(title)}</title></rect>'
    )
