"""The command `serve`: the registry on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.lock.locked import LOCK_PATH
from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.options import LockPath, command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def serve(
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="Serve the lock's own files, downloaded into this directory; left out: tiny "
            "models with random weights.",
        ),
    ] = None,
    lock: LockPath = LOCK_PATH,
    front_end: Annotated[
        FrontEndName | None,
        typer.Option("--front-end", help="Left out: llama-swap where it is on PATH."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="On 127.0.0.1; left out: a free one."),
    ] = None,
    state_dir: Annotated[
        Path, typer.Option("--state-dir", help="Where configuration, log and tiny models are.")
    ] = ROOT / ".serve",
) -> None:
    """Serve the registry on this machine until Ctrl-C: download, warm, front end, llama-server.

    The endpoint asks for the API keys that the settings declare: the value of a variable that is
    set, else a generated one in the state directory. It also asks for LLAMA_API_KEY where that is
    set.

    Example: `python -m ops serve --port 8080`
    """
    from ops.commands.serve import ask, local_store
    from ops.commands.serve import run as front_ends
    from ops.machine.signals import ended_by_signals
    from ops.machine.state_dir import locked
    from stacks.production import PRODUCTION

    running = front_ends.find(state_dir)
    if running is not None:
        raise OpsError(
            f"{running.front_end} serves already from {state_dir}, at {running.url}; end that "
            f"one (process {running.pid}), or pass another --state-dir"
        )
    with ended_by_signals():
        with locked(state_dir):
            chosen = front_ends.choose(front_end, say)
            if weights is None:
                store = local_store.fill_with_tiny_models(state_dir, say=say)
            else:
                store = local_store.fill_from_hub(weights, state_dir, lock_path=lock, say=say)
            served = front_ends.start(
                store,
                state_dir,
                front_end=chosen,
                port=port,
                say=say,
                residents=front_ends.production_residents(
                    PRODUCTION,
                    chosen,
                    lock_path=LOCK_PATH if weights is None else lock,
                    say=say,
                ),
                api_key_env=PRODUCTION.llama_swap.api_key_env,
            )
        try:
            CONSOLE.print(
                f"\n{served.front_end} serves {', '.join(served.models)} at {served.url}/v1",
                highlight=False,
                soft_wrap=True,
            )
            if weights is None:
                CONSOLE.print("Their weights are random: what they say means nothing.")
            CONSOLE.print(f"Its log: {served.log}", highlight=False, soft_wrap=True)
            CONSOLE.print("\nTry, from another terminal:", style="bold")
            CONSOLE.print(f"  {ask.curl_command(served)}", highlight=False, soft_wrap=True)
            CONSOLE.print("\nCtrl-C ends it.")
            while front_ends.find(state_dir) is not None:
                time.sleep(0.5)
            raise OpsError(f"{served.front_end} has ended; its log is {served.log}")
        finally:
            front_ends.stop(state_dir)
