"""The command `serve`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.lock.locked import LOCK_PATH
from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.options import ListenPort, LockPath, command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def serve(
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="Download the locked files into this directory and serve them (default: tiny "
            "models with random weights, in --state-dir).",
            show_default=False,
        ),
    ] = None,
    lock: LockPath = LOCK_PATH,
    front_end: Annotated[
        FrontEndName | None,
        typer.Option(
            "--front-end",
            help="Serve with this front end (default: llama-swap if on PATH, else llama-server).",
            show_default=False,
        ),
    ] = None,
    port: ListenPort = None,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="NAME",
            help="Serve the models of this pool (default: those of the first pool).",
            show_default=False,
        ),
    ] = None,
    state_dir: Annotated[
        Path,
        typer.Option(
            "--state-dir",
            help="Use this directory for configuration, log, tiny models and API keys.",
        ),
    ] = ROOT / ".serve",
) -> None:
    """Download, warm and serve the registry's models on this machine until Ctrl-C.

    Without --weights the answers mean nothing: tiny models with random weights stand in for the
    registry's. If stacks/production.py declares an API key, clients must send it: the value of the
    declared variable or, if that is not set, a key generated in --state-dir. The key in
    LLAMA_API_KEY is accepted too.

    Example: `python -m ops serve --port 8080`
    """
    from ops.commands.serve import ask, local_store
    from ops.commands.serve import run as front_ends
    from ops.machine.signals import ended_by_signals
    from ops.machine.state_dir import locked
    from stacks.declared import load_pool

    served_pool = load_pool(pool, LOCK_PATH if weights is None else lock)
    running = front_ends.find(state_dir)
    if running is not None:
        raise OpsError(
            f"{running.front_end} already serves from {state_dir} at {running.url}; stop it "
            f"(process {running.pid}), or pass another --state-dir"
        )
    with ended_by_signals():
        with locked(state_dir):
            chosen = front_ends.choose(front_end, say)
            if weights is None:
                store = local_store.fill_with_tiny_models(state_dir, say=say)
            else:
                store = local_store.fill_from_hub(
                    weights,
                    state_dir,
                    lock_path=lock,
                    models=served_pool.declaration.locked,
                    say=say,
                )
            served = front_ends.start(
                store.of_pool(served_pool),
                state_dir,
                front_end=chosen,
                port=port,
                say=say,
                residents=front_ends.production_residents(served_pool, chosen, say=say),
                api_key_env=served_pool.settings.llama_swap.api_key_env,
            )
        try:
            CONSOLE.print(
                f"\n{served.front_end} serves {', '.join(served.models)} at {served.url}/v1",
                highlight=False,
                soft_wrap=True,
            )
            if weights is None:
                CONSOLE.print("Their weights are random: their answers mean nothing.")
            CONSOLE.print(f"Log: {served.log}", highlight=False, soft_wrap=True)
            CONSOLE.print("\nTry it from another terminal:", style="bold")
            CONSOLE.print(f"  {ask.curl_command(served)}", highlight=False, soft_wrap=True)
            CONSOLE.print("\nPress Ctrl-C to stop.")
            while front_ends.find(state_dir) is not None:
                time.sleep(0.5)
            raise OpsError(f"{served.front_end} has ended; see its log {served.log}")
        finally:
            front_ends.stop(state_dir)
