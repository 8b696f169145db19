"""The command line: `python -m ops COMMAND`.

A command is imported only when it runs, so that `--help` imports nothing but typer.
"""

from __future__ import annotations

import sys
import traceback
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from llama_swap_config.errors import ConfigError
from ops.errors import OpsError, one_line

COMMANDS = {
    "doctor": "List what this machine lacks; with --cluster, what the cluster and the database "
    "lack.",
    "up": "Start the embedded cluster on this machine, deploy the stack into it, and serve its "
    "models.",
    "down": "Stop the embedded cluster and the endpoint of `up`; keep the data for the next `up`.",
    "env": "Print the embedded cluster's environment variables as shell exports.",
    "serve": "Download, warm and serve the registry's models on this machine until Ctrl-C.",
    "lock": "Resolve the registry's models to exact files and write models.lock.json.",
    "hub": "Serve tiny files for the registry's models as a hub, to try a model without the "
    "internet.",
    "fit": "Show each model's VRAM, and which models fit a card together.",
    "plan": "Show what merging the working tree would change: models, objects, downloads, VRAM.",
    "deploy": "Show Terraform's plan, ask, apply it, and follow it until the endpoint serves.",
    "adopt": "Take over an endpoint that runs already: from hand-written HCL, a Helm chart or "
    "kubectl.",
    "manifests": "Write the stack's objects as Kubernetes YAML, without a cluster or Terraform.",
    "smoke": "Check a running endpoint: model list, API keys, and models' devices and answers.",
    "drift": "Compare the working tree with Terraform's state, the cluster, volume, server "
    "and gateway.",
    "gateway": "Make, rotate and list the consumers' keys, and write what an existing LiteLLM "
    "mounts.",
    "status": "Show models and their states, who waits, the last swaps, the card and its window.",
    "window": "Borrow the GPU from its other users while a command runs, then restore them.",
    "weights": "Download, list, verify and prune the models' files on a volume.",
    "cache": "List the programs that were built on this machine, and delete those that nobody "
    "uses.",
    "bench": "Choose the model that agrees best with your favourites or ratings of your photos.",
}
"""Folder in `ops/commands/` -> first line of the command's help, in the order of `--help`."""


class _Commands(TyperGroup):
    """Lists the commands of the table and imports the one that runs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, line in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that was found in the table."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load(str(name)), rest


@cache
def load(name: str) -> Any:
    """Import a command."""
    return typer.main.get_command(import_module(f"ops.commands.{name}.command").app)


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _options(
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an error; goes before COMMAND."),
    ] = False,
) -> None:
    """Deploy and operate the vision-LLM endpoint.

    Registry: llama_swap_config/registry.py, the list of models. Settings: stacks/production.py.
    `COMMAND --help` explains a command.

    Example: `python -m ops plan`
    """
    del debug  # Read from the arguments by main(), which also sees errors in parsing.


def main(arguments: list[str] | None = None) -> int:
    """Run a command; print an error as one line on stderr.

    Args:
        arguments: The words after `python -m ops` (default: those of the process).

    Returns:
        The exit code: 0 success, 1 error, 2 wrong usage (for `plan`: changes), 3 refused deploy,
        130 interrupted.
    """
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(arguments, prog_name="python -m ops", standalone_mode=False)
    except typer.TyperException as error:
        message = _wrong_usage(error)
        end = "" if message.endswith("?") else "."  # "Did you mean ...?"
        typer.echo(f"error: {message}{end} See python -m ops --help.", err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (OpsError, ConfigError) as error:
        if "--debug" in arguments:
            traceback.print_exc()
        typer.echo(f"error: {error}", err=True)
        return error.exit_code if isinstance(error, OpsError) else 1
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        line = one_line(str(error), limit=300)
        typer.echo(
            f"error: {type(error).__name__}: {line}. Use --debug for a traceback.", err=True
        )
        return 1
    return code if isinstance(code, int) else 0


def _wrong_usage(error: typer.TyperException) -> str:
    """Return the message, with the value where typer only calls it the input."""
    from pydantic_core import ValidationError

    message = error.format_message().replace("Value error, ", "").rstrip(".")
    if isinstance(error.__cause__, ValidationError):
        value = error.__cause__.errors(include_url=False)[0]["input"]
        message = message.replace(": Input should", f": {value!r} should", 1)
    return one_line(message, limit=400)
