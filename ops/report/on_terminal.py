"""A plan's document on a terminal, in colours where it has them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ops.report.document import Document, Line, Listing, Section, Table, Tone, Value
from ops.report.safe_text import MOST_CHARACTERS, one_line

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


def _show_section(console: Console, section: Section) -> None:
    console.print(Text(f"\n{section.title}", style="bold"))
    for block in section.blocks:
        if isinstance(block, Table):
            console.print(_table(block))
        elif isinstance(block, Listing):
            for line in block.lines:
                console.print(_line(line, _STYLES[block.tone]), soft_wrap=True)
        else:
            for each in block.lines:
                console.print(Text(each, style=_diff_style(each)), soft_wrap=True)


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, header_style="dim")
    for index, name in enumerate(table.header):
        right = index in table.numbers
        shown.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(_line(cell) for cell in row.cells), style=_STYLES[row.tone])
    return shown


def _line(line: Line, style: str = "") -> Text:
    text = Text(style=style)
    for part in line:
        text.append(one_line(part.text, MOST_CHARACTERS) if isinstance(part, Value) else part)
    return text


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "dim"
    return {"+": "green", "-": "red"}.get(line[:1], "")
