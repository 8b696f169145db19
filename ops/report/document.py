"""A report as data: sentences, tables and diffs, before a renderer writes them.

Text of our own is a plain string. A value of the tree is a `Value`, which the renderer redacts and
escapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "added", "changed", "replaced", "removed", "bad"]


@dataclass(frozen=True, slots=True)
class Value:
    """An untrusted text, such as a name of the tree."""

    text: str


@dataclass(frozen=True, slots=True)
class Styled:
    """A text of our own with a style for the terminal."""

    text: str
    style: str
    """As rich spells it: `bold red`."""


Line = tuple[str | Value | Styled, ...]
"""A sentence, or a cell."""


def plain(part: str | Value | Styled) -> str:
    """The text of a part, neither escaped nor styled."""
    return part if isinstance(part, str) else part.text


def separated(separator: str, names: Iterable[str]) -> Line:
    """Write untrusted names, with text of our own between them."""
    parts = [part for name in names for part in (separator, Value(name))]
    return tuple(parts[1:])


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
    """Indexes of the columns that are aligned to the right."""
    whole: frozenset[int] = frozenset()
    """Indexes of the columns that a terminal never wraps."""


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
    """If the document is too long, the least important section is shortened first."""

    @property
    def length(self) -> int:
        """Number of rows and lines."""
        return sum(
            len(block.rows) if isinstance(block, Table) else len(block.lines)
            for block in self.blocks
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A report."""

    title: str
    sentence: Line
    note: Line
    """What is compared with what."""
    sections: tuple[Section, ...]
    tone: Tone
