"""The operator's terminal: its console, and lines of progress."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

Say = Callable[[str], None]
"""Shows a line to the operator."""

# A pipe or a CI log has no width of its own.
CONSOLE = Console(width=None if sys.stdout.isatty() else 120)


def say(line: str) -> None:
    """Show a line of progress."""
    CONSOLE.print(f"[dim]-[/dim] {escape(line)}", highlight=False, soft_wrap=True)
