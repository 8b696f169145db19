"""A plan as a document: sentences, tables and diffs, before it is Markdown or on a terminal.

Text of our own is a plain string; a value that comes from the tree is a `Value`, and is made
harmless by whoever renders it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "added", "changed", "replaced", "removed", "bad"]


@dataclass(frozen=True, slots=True)
class Value:
    """A text of the tree: anything may be in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Styled:
    """A text of our own that a terminal shows in a style of its own."""

    text: str
    style: str
    """As rich spells it: `bold red`."""


Line = tuple[str | Value | Styled, ...]
"""A sentence, or a cell."""


def plain(part: str | Value | Styled) -> str:
    """A part of a line as it is, neither harmless nor in its style."""
    return part if isinstance(part, str) else part.text


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    cells: tuple[Line, ...]
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a header."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: frozenset[int] = frozenset()
    """The columns that are set to the right."""
    whole: frozenset[int] = frozenset()
    """The columns that are never broken over two lines of a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sentences, one below the other."""

    lines: tuple[Line, ...]
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A unified diff, made by `safe_text.lines`."""

    lines: tuple[str, ...]


Block = Table | Listing | Diff


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the document."""

    title: str
    blocks: tuple[Block, ...]
    importance: int
    """Where all of it is too long, the least important is shortened first."""

    @property
    def length(self) -> int:
        """Rows and lines."""
        return sum(
            len(block.rows) if isinstance(block, Table) else len(block.lines)
            for block in self.blocks
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole."""

    title: str
    sentence: Line
    note: Line
    """What is compared with what."""
    sections: tuple[Section, ...]
    tone: Tone
