"""What several commands have on the command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ops.errors import OpsError
from ops.machine.checkout import ROOT

_Model = TypeVar("_Model")

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


def choose(
    models: Mapping[str, _Model],
    ids: Collection[str],
    *,
    unknown: str = "--model is {!r}; allowed: {}",
    error: type[Exception] = OpsError,
) -> tuple[_Model, ...]:
    """Find the models of these ids, in the registry's order; all where none is named.

    Raises:
        OpsError: or the error that is passed, with the text that is, for an id of no model.
    """
    for each in ids:
        if each not in models:
            raise error(unknown.format(each, ", ".join(models)))
    return tuple(model for each, model in models.items() if not ids or each in ids)
