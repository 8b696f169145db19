"""The command `hub`."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import Annotated

import typer

from llama_swap_config.declaration import load_registry
from ops.errors import OpsError
from ops.options import ListenPort, command_app
from ops.report.ops_command import ops_command
from ops.report.terminal import ASIDE, say

app = command_app()


@app.command(context_settings={"allow_interspersed_args": False})
def hub(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help="Run this command, after `--`, with HF_ENDPOINT set (default: serve until "
            "Ctrl-C).",
            show_default=False,
        ),
    ] = None,
    port: ListenPort = None,
) -> None:
    """Serve tiny files for the registry's models as a hub, to try a model without the internet.

    Each repository of llama_swap_config/registry.py has files of half a megabyte with random
    weights. What `lock` writes from them is marked: only the embedded cluster of `up` takes it,
    and a later `lock` replaces it. Exit code: the command's.

    Example: `python -m ops hub -- python -m ops lock`
    """
    from ops.commands.hub.run import run_command, tiny_hub
    from ops.machine.signals import ended_by_signals

    if command and shutil.which(command[0]) is None:
        raise OpsError(f"COMMAND is {command[0]!r}; expected a program on PATH. Correct it")
    models = load_registry()
    # A program may read the command's standard output.
    tell = partial(say, console=ASIDE) if command else say
    with ended_by_signals(), tiny_hub(models, port) as served:
        tell(f"serving tiny files for {', '.join(model.id for model in models)} at {served.url}")
        if command:
            raise typer.Exit(run_command(served, command))
        tell(f"HF_ENDPOINT={served.url} {ops_command('lock')}")
        tell("press Ctrl-C to stop; restart after an edit of the registry")
        while True:
            time.sleep(1)
