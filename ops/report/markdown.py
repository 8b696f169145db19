"""Write a document as Markdown, whole or short enough for a comment."""

from __future__ import annotations

from dataclasses import dataclass

from ops.report.document import (
    Block,
    Diff,
    Document,
    Line,
    Listing,
    Section,
    Table,
    Value,
    plain,
)
from ops.report.safe_text import fenced, inline
from ops.report.words import count

COMMENT_BYTES = 60_000
"""GitHub accepts 65,536 characters."""
_FOLDED_FROM = 12
"""Rows and lines from which a section is folded."""
_KEPT_FIRST = 8
"""Rows and lines that a section keeps while another one can be shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """A block whose units can be dropped from the end."""

    before: list[str]
    units: list[str]
    after: list[str]


def as_markdown(document: Document) -> str:
    """Write the whole document."""
    return _assemble(document, _rendered(document), {})


def as_comment(document: Document, most_bytes: int = COMMENT_BYTES) -> str:
    """Write the document, shortened section by section from the least important one on.

    Args:
        document: The document.
        most_bytes: Upper limit of its length in UTF-8 (default: COMMENT_BYTES).
    """
    rendered = _rendered(document)
    kept: dict[int, int] = {}

    def fits() -> bool:
        return len(_assemble(document, rendered, kept).encode()) < most_bytes

    order = sorted(range(len(rendered)), key=lambda index: document.sections[index].importance)
    # Each section keeps its beginning, unless even that is too long.
    for floor, index in ((floor, index) for floor in (_KEPT_FIRST, 0) for index in order):
        if fits():
            break
        most = kept.get(index, document.sections[index].length)
        least = min(floor, most)
        while least < most:
            kept[index] = (least + most + 1) // 2
            least, most = (kept[index], most) if fits() else (least, kept[index] - 1)
        kept[index] = least
    return _assemble(document, rendered, kept)


def table_lines(table: Table) -> list[str]:
    """Write a table alone."""
    rendered = _table(table)
    return rendered.before + rendered.units


def _rendered(document: Document) -> list[list[_Rendered]]:
    return [[_block(block) for block in section.blocks] for section in document.sections]


def _assemble(document: Document, rendered: list[list[_Rendered]], kept: dict[int, int]) -> str:
    parts = [f"## {document.title}", f"**{_line(document.sentence)}**", _line(document.note)]
    for index, (section, blocks) in enumerate(zip(document.sections, rendered, strict=True)):
        parts += _section(section, blocks, kept.get(index, section.length))
    if kept:
        parts.append("Shortened: the whole text is `plan.md` in the run's artifact.")
    return "\n\n".join(parts) + "\n"


def _section(section: Section, blocks: list[_Rendered], kept: int) -> list[str]:
    left_out = section.length - kept
    parts = []
    for block in blocks:
        units = block.units[:kept]
        kept -= len(units)
        if units:
            parts.append("\n".join([*block.before, *units, *block.after]))
    if left_out:
        parts.append(f"{count(left_out, 'line')} omitted.")
    if section.length < _FOLDED_FROM:
        return [f"### {section.title}", *parts]
    summary = f"<b>{section.title}</b> ({count(section.length, 'line')})"
    return [f"<details><summary>{summary}</summary>", *parts, "</details>"]


def _block(block: Block) -> _Rendered:
    if isinstance(block, Listing):
        return _Rendered(before=[], units=[f"- {_line(line)}" for line in block.lines], after=[])
    if isinstance(block, Diff):
        first, *shown, last = fenced(list(block.lines), "diff")
        return _Rendered(before=[first], units=shown, after=[last])
    return _table(block)


def _table(table: Table) -> _Rendered:
    rule = ("---:" if index in table.numbers else "---" for index in range(len(table.header)))
    return _Rendered(
        before=[f"| {' | '.join(table.header)} |", f"|{'|'.join(rule)}|"],
        units=[f"| {' | '.join(map(_line, row.cells))} |" for row in table.rows],
        after=[],
    )


def _line(line: Line) -> str:
    return "".join(inline(part.text) if isinstance(part, Value) else plain(part) for part in line)
