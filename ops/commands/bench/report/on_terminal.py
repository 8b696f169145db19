"""The verdict on the terminal: headline, figures, one row per model, and what to do next."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.commands.bench.report.table import Cell, model_table
from ops.commands.bench.summary import Summary
from ops.errors import one_line


def show(console: Console, summary: Summary) -> None:
    """Show the verdict as the page does, and its caveats below the table."""
    verdict = summary.verdict
    console.print()
    _line(console, verdict.headline, style="bold")
    for figure in verdict.figures:
        _line(console, figure)
    shown = model_table(summary)
    table = Table(box=None, pad_edge=False)
    table.add_column("Model")
    for column in shown.columns:
        table.add_column(column, justify="right")
    for row in shown.rows:
        table.add_row(escape(row.name), *(_cell(cell) for cell in row.cells))
    console.print()
    console.print(table)
    if verdict.caveats:
        console.print()
    for caveat in verdict.caveats:
        _line(console, caveat, style="yellow")
    for step in verdict.steps:
        console.print()
        _line(console, step.why)
        # A command that is broken into lines could not be copied.
        console.print(f"  {step.command}", markup=False, highlight=False, soft_wrap=True)
    console.print()


def _line(console: Console, text: str, style: str = "") -> None:
    sentence = one_line(text, limit=sys.maxsize)
    console.print(sentence, style=style, markup=False, highlight=False)


def _cell(cell: Cell) -> str:
    return f"{cell.value} ({cell.detail})" if cell.detail else cell.value
