"""The command `window`: the card for a while, and back to whom it was taken from."""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import Annotated

import typer

from ops.errors import OpsError
from ops.options import command_app, duration
from ops.report.terminal import ASIDE, say, warn

app = command_app()


@app.command(context_settings={"allow_interspersed_args": False})
def window(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to run, behind `--`; left out: the window is held until Ctrl-C or its end.",
            show_default=False,
        ),
    ] = None,
    for_: Annotated[
        int,
        typer.Option(
            "--for", parser=duration, metavar="DURATION", help="How long: 90s, 30m or 1h30m."
        ),
    ] = "30m",  # type: ignore[assignment]  # Read by the parser, as from the command line.
    wait: Annotated[
        int,
        typer.Option(
            "--wait", parser=duration, metavar="DURATION", help="For the opening, at most."
        ),
    ] = "15m",  # type: ignore[assignment]
    restore: Annotated[
        bool, typer.Option("--restore", help="Only put back what a killed window took.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say whose a window is.")] = False,
) -> None:
    """Take the GPU from whom it is shared with, for a while or a command, and give it back.

    The command finds the endpoint in LLAMA_SWAP_URL and OPENAI_BASE_URL; its exit code is
    passed on, 124 where the time was up. With IMMICH_API_KEY (and IMMICH_URL, where the settings'
    address is not reached from here) Immich's queues are paused meanwhile.

    Example: `python -m ops window --for 30m -- python bench.py`
    """
    if sum((bool(command), restore, status)) > 1:
        raise typer.BadParameter("a command, --restore and --status exclude each other")
    if command and shutil.which(command[0]) is None:
        raise OpsError(f"{command[0]} is not on PATH and no program; nothing was changed")
    from in_pod.gpu_window.errors import WindowError
    from ops.cluster.api import KubeApi
    from ops.cluster.environment import check_cluster
    from ops.cluster.port_forward import to_endpoint
    from ops.commands.window import run as windows
    from stacks.production import PRODUCTION

    settings = PRODUCTION.gpu_window
    if settings is None:
        raise OpsError(
            "gpu_window is not set in stacks/production.py; it names the Deployments that share "
            "the card"
        )
    target = check_cluster()
    namespace = PRODUCTION.namespace
    access = windows.ImmichAccess(
        url=os.environ.get("IMMICH_URL"), key=os.environ.get("IMMICH_API_KEY")
    )
    with KubeApi(target) as api:
        try:
            if status:
                windows.status(api, namespace=namespace, say=say)
                return
            if restore:
                windows.restore_only(api, settings, namespace=namespace, access=access, say=say)
                return
            code = windows.run(
                api,
                settings,
                namespace=namespace,
                access=access,
                forward=lambda: to_endpoint(
                    target, PRODUCTION, otherwise="look whether the pod still runs"
                ),
                command=command or (),
                for_s=for_,
                wait_s=wait,
                # What the command prints may be read by a program.
                say=partial(say, console=ASIDE) if command else say,
                warn=warn,
            )
        except WindowError as error:
            raise OpsError(str(error)) from error
    raise typer.Exit(code)
