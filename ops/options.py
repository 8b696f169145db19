"""What several commands have on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ops.machine.checkout import ROOT

EMBEDDED = ROOT / ".embedded"
"""The directory of the embedded cluster that `make up` starts."""
EmbeddedDir = Annotated[
    Path, typer.Option("--state-dir", help="Where the embedded cluster keeps its data and logs.")
]


def command_app(**settings: Any) -> typer.Typer:
    """Make the application of one command, as they all are."""
    return typer.Typer(add_completion=False, rich_markup_mode="markdown", **settings)


def duration(text: str) -> int:
    """Read an option such as 30m, as click wants its parsers."""
    from ops.report.durations import duration_s

    try:
        return duration_s(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
