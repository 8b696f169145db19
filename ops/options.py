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
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
AsMarkdown = Annotated[
    bool, typer.Option("--markdown", help="For a pull request or a job's summary.")
]
LockPath = Annotated[
    Path,
    typer.Option(
        "--lock", help="Left out: the repository's models.lock.json.", show_default=False
    ),
]
OnlyModels = Annotated[
    list[str] | None,
    typer.Option("--model", help="Ask only this one; repeatable.", show_default=False),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="The endpoint, http://host:port; left out: by kubectl port-forward to the cluster of "
        "KUBE_CONFIG_PATH and KUBE_CTX.",
        show_default=False,
    ),
]


def check_one_format(*, as_json: bool, as_markdown: bool) -> None:
    """Refuse --json beside --markdown."""
    if as_json and as_markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")


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
