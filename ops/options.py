"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.report.ops_command import here, ops_command

_Model = TypeVar("_Model")

EMBEDDED = ROOT / ".embedded"
"""The directory of the embedded cluster that `make up` starts."""
EmbeddedDir = Annotated[
    Path,
    typer.Option(
        "--state-dir",
        help="Use the embedded cluster of this directory: its data, logs and API keys.",
    ),
]


_TARGETS = {"up": "make up", "up --gateway": "make up GATEWAY=1", "down": "make down"}


def embedded_command(command: str, state_dir: Path) -> str:
    """Spell a command of the embedded cluster of a directory, for a new shell in the checkout."""
    if state_dir.resolve() != EMBEDDED.resolve():
        return ops_command(f"{command} --state-dir {here(state_dir)}")
    return _TARGETS.get(command) or ops_command(command)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsMarkdown = Annotated[
    bool, typer.Option("--markdown", help="Print Markdown, for a pull request or a job's summary.")
]
LockPath = Annotated[
    Path,
    typer.Option(
        "--lock",
        help="Read this lock file (default: the repository's models.lock.json).",
        show_default=False,
    ),
]
ListenPort = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1,
        max=65535,
        help="Listen on this port of 127.0.0.1 (default: a free port).",
        show_default=False,
    ),
]
OnlyPool = Annotated[
    str | None,
    typer.Option("--pool", metavar="NAME", help="Only this pool (default: all pools)."),
]
OnlyModels = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Ask only this model; repeatable (default: every model).",
        show_default=False,
    ),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Ask the endpoint at this address, http(s)://host:port (default: kubectl "
        "port-forward to the cluster of KUBE_CONFIG_PATH and KUBE_CTX).",
        show_default=False,
    ),
]


def duration(text: str) -> int:
    """Parse an option such as 30m, for click."""
    from ops.report.durations import duration_s

    try:
        return duration_s(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


ServeWait = Annotated[
    int,
    typer.Option(
        "--wait",
        parser=duration,
        metavar="DURATION",
        help="After the apply, wait at most this long until the endpoint serves, such as 90s or "
        "1h.",
    ),
]


def check_can_ask(command: str, *, yes: bool, does: str) -> None:
    """Refuse to ask where nobody can answer.

    Args:
        command: The command's name.
        yes: Whether --yes was passed.
        does: What it does with --yes: `applies`.
    """
    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise typer.BadParameter(
            f"standard input is not a terminal; `python -m ops {command} --yes` "
            f"{does} without asking"
        )


def check_one_format(*, as_json: bool, as_markdown: bool) -> None:
    """Refuse --json beside --markdown."""
    if as_json and as_markdown:
        raise typer.BadParameter("--json cannot be combined with --markdown")


def command_app(**settings: Any) -> typer.Typer:
    """Make the typer application of a command."""
    return typer.Typer(add_completion=False, rich_markup_mode="markdown", **settings)


def choose(
    models: Mapping[str, _Model],
    ids: Collection[str],
    *,
    unknown: str = "--model is {!r}; expected one of {}",
    error: type[Exception] = OpsError,
) -> tuple[_Model, ...]:
    """Find the models of these ids, in the registry's order; without ids, all models.

    Raises:
        OpsError: when an id is unknown; or the given `error` with the text of `unknown`.
    """
    for model_id in ids:
        if model_id not in models:
            raise error(unknown.format(model_id, ", ".join(models)))
    return tuple(model for model_id, model in models.items() if not ids or model_id in ids)
