"""The command line: `python -m ops COMMAND`.

A command is imported when it is run, so `--help` costs no more than typer.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from llama_swap_config.errors import ConfigError
from ops.errors import OpsError, one_line

COMMANDS = {
    "serve": "Serve the registry on this machine until Ctrl-C: download, warm, "
    "front end, llama-server.",
    "smoke": "Ask the running endpoint what it is for: lists, keys, and each model eight things.",
    "lock": "Write into models.lock.json which files the registry's models are, "
    "down to their headers.",
    "fit": "Show what each model takes of the card, and which fit together: exit "
    "code 0 fits, 1 not.",
    "plan": "Show what a merge of the working tree would do: exit code 0 nothing, "
    "2 something, 1 error.",
    "drift": "Compare the working tree with Terraform's state, the cluster, the "
    "volume and the server.",
    "window": "Take the GPU from whom it is shared with, for a while or a command, "
    "and give it back.",
    "up": "Start an embedded cluster, deploy the stack into it, and serve the registry beside it.",
    "down": "End the embedded cluster and what is served; the data stays for the next `up`.",
    "env": "Print the embedded cluster's environment for a shell.",
    "deploy": "Show Terraform's plan, then apply that plan to the cluster of "
    "KUBE_CONFIG_PATH and KUBE_CTX.",
    "manifests": "Write the synthesized objects as Kubernetes YAML; needs no cluster "
    "and no provider.",
    "weights": "The models' files: download, compare, verify, prune.",
    "bench": "Choose the model that picks your photos best, from a report on your own album.",
}
"""The folders of `ops/commands/`, each with the first line of its help."""


class _Commands(TyperGroup):
    """Lists the commands from the table, and imports the one that is run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, line in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that the table lists."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load(str(name)), rest


def load(name: str) -> Any:
    """Import a command."""
    return typer.main.get_command(import_module(f"ops.commands.{name}.command").app)


app = typer.Typer(
    cls=_Commands,
    help="Deploy and operate the vision-LLM endpoint.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Deploy and operate the vision-LLM endpoint."""
    del debug  # Read from the arguments by main(), which also sees errors in parsing.


def main(arguments: list[str] | None = None) -> int:
    """Run a command; an error is one line on stderr.

    Args:
        arguments: What follows `python -m ops`; left out: the process's own.

    Returns:
        0 done, 1 an error, 2 wrong usage (or changes, for `plan`), 3 a deploy that was refused,
        130 interrupted.
    """
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(arguments, prog_name="python -m ops", standalone_mode=False)
    except typer.TyperException as error:
        typer.echo(f"error: {error.format_message()}; see python -m ops --help", err=True)
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
        typer.echo(f"error: {type(error).__name__}: {line}; --debug shows where", err=True)
        return 1
    return code if isinstance(code, int) else 0
