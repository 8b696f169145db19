"""The operator's terminal: its console, and lines of progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Say = Callable[[str], None]
"""Shows a line to the operator."""

# A pipe or a CI log has no width of its own.
CONSOLE = Console(width=None if sys.stdout.isatty() else 120)
ASIDE = Console(stderr=True)
"""For what must not be mixed into an output that a program reads."""


def say(line: str, console: Console = CONSOLE) -> None:
    """Show a line of progress."""
    console.print(f"[dim]-[/dim] {escape(line)}", highlight=False, soft_wrap=True)


def warn(line: str) -> None:
    """Show a warning on stderr."""
    ASIDE.print(f"warning: {line}", style="yellow", markup=False, soft_wrap=True)


def titled_table(title: str, *columns: str, right: Collection[str] = ()) -> Table:
    """Make an empty table under a title.

    Args:
        title: What stands above it, after an empty line.
        columns: The headings.
        right: Those whose values are numbers.
    """
    table = Table(box=None, pad_edge=False, title_justify="left", title=f"\n{title}")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table
