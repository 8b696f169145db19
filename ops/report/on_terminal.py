"""Print documents and tables on a terminal, in colour if it has colours."""

from __future__ import annotations

from typing import Any

from rich.console import Console, OverflowMethod
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from ops.report.document import (
    Document,
    Line,
    Listing,
    Section,
    Styled,
    Table,
    Tone,
    Value,
    plain,
)
from ops.report.safe_text import MOST_CHARACTERS, redacted_line

_STYLES: dict[Tone, str] = {
    "": "",
    "added": "green",
    "changed": "yellow",
    "replaced": "magenta",
    "removed": "red",
    "bad": "bold red",
}


def show_plan(console: Console, document: Document) -> None:
    """Print the whole document."""
    console.print(Text(document.title, style="bold"), soft_wrap=True)
    console.print(_line(document.sentence, _STYLES[document.tone]), soft_wrap=True)
    console.print(_line(document.note, "dim"), soft_wrap=True)
    for section in document.sections:
        _show_section(console, section)


def show_table(console: Console, table: Table, *, title: str = "") -> None:
    """Print a table, under its title if it has one."""
    console.print(_table(table, title=escape(title) or None, title_justify="left"))


def _show_section(console: Console, section: Section) -> None:
    console.print(Text(f"\n{section.title}", style="bold"))
    for block in section.blocks:
        if isinstance(block, Table):
            console.print(_table(block, overflow="fold", header_style="dim"))
        elif isinstance(block, Listing):
            for line in block.lines:
                console.print(_line(line, _STYLES[block.tone]), soft_wrap=True)
        else:
            for text in block.lines:
                console.print(Text(text, style=_diff_style(text)), soft_wrap=True)


def _table(table: Table, *, overflow: OverflowMethod = "ellipsis", **how: Any) -> RichTable:
    rich_table = RichTable(box=None, pad_edge=False, **how)
    for index, name in enumerate(table.header):
        rich_table.add_column(
            name,
            justify="right" if index in table.numbers else "left",
            overflow=overflow,
            no_wrap=index in table.whole,
        )
    for row in table.rows:
        rich_table.add_row(*(_line(cell) for cell in row.cells), style=_STYLES[row.tone])
    return rich_table


def _line(line: Line, style: str = "") -> Text:
    match line:
        case (Styled() as whole,):  # Its padding gets the style too.
            return Text(whole.text, style=whole.style)
    text = Text(style=style)
    for part in line:
        if isinstance(part, Value):
            text.append(redacted_line(part.text, MOST_CHARACTERS))
        else:
            text.append(plain(part), part.style if isinstance(part, Styled) else "")
    return text


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "dim"
    return {"+": "green", "-": "red"}.get(line[:1], "")
