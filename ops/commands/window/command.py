"""The command `window`."""

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
            metavar="COMMAND",
            help="Run this command, after `--` (default: hold the GPU until Ctrl-C or the end).",
            show_default=False,
        ),
    ] = None,
    for_: Annotated[
        int,
        typer.Option(
            "--for",
            parser=duration,
            metavar="DURATION",
            help="Length of the window from when the endpoint is ready, such as 90s, 30m or "
            "1h30m; at most 24h.",
        ),
    ] = "30m",  # type: ignore[assignment]  # Read by the parser, as from the command line.
    wait: Annotated[
        int,
        typer.Option(
            "--wait",
            parser=duration,
            metavar="DURATION",
            help="Give up if the endpoint is not ready after this long, such as 5m.",
        ),
    ] = "15m",  # type: ignore[assignment]
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="NAME",
            help="Borrow this pool's cards (default: those of the only pool that has tenants).",
            show_default=False,
        ),
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Restore what a killed window left, and exit.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show who holds the window and the card, and exit.")
    ] = False,
) -> None:
    """Borrow the GPU from its other users while a command runs, then restore them.

    The other users are the `sharing.tenants` of stacks/production.py. The command finds
    the endpoint in LLAMA_SWAP_URL and OPENAI_BASE_URL. If IMMICH_API_KEY is set, Immich's queues
    pause during the window; set IMMICH_URL if this machine does not reach the settings' address.
    Needs KUBE_CONFIG_PATH and KUBE_CTX. Exit code: the command's; 124 if the window ended
    first, because its time was up or somebody scaled a tenant up; 1 an error.

    Example: `python -m ops window --for 30m -- python -m ops smoke`
    """
    if sum((bool(command), restore, status)) > 1:
        raise typer.BadParameter("a command, --restore and --status exclude each other")
    if command and shutil.which(command[0]) is None:
        raise OpsError(f"{command[0]} is not a program on PATH; nothing was changed")
    from in_pod.gpu_window.contract import RESTORE_COMMAND
    from in_pod.gpu_window.errors import WindowError
    from llama_swap_config.cluster.sharing import ByWindow
    from ops.cluster.api import KubeApi
    from ops.cluster.environment import check_cluster
    from ops.cluster.port_forward import to_endpoint
    from ops.commands.window import run as windows
    from ops.commands.window.opening import declared
    from ops.commands.window.refusal import left_window, no_window
    from ops.commands.window.status import status as show_status
    from stacks.declared import load_settings_of_pools

    pools = load_settings_of_pools(pool)
    lending = [each for each in pools if each.tenants]
    if len(lending) > 1:
        names = ", ".join(each.pool for each in lending)
        raise typer.BadParameter(f"several pools have tenants: {names}. Name one with --pool")
    settings = (*lending, *pools)[0]
    sharing = settings.sharing
    if not isinstance(sharing, ByWindow) and not (restore or status):
        raise OpsError(no_window(pools, pool))
    restore_command = f"{RESTORE_COMMAND} --pool {pool}" if pool else RESTORE_COMMAND
    target = check_cluster()
    namespace, resource = settings.namespace, settings.gpu.resource
    access = windows.ImmichAccess(
        url=os.environ.get("IMMICH_URL"), key=os.environ.get("IMMICH_API_KEY")
    )
    with KubeApi(target) as api:
        try:
            if not isinstance(sharing, ByWindow):
                left = (left_window(api, each.namespace) for each in pools)
                raise OpsError(next(filter(None, left), no_window(pools, pool)))
            if status:
                show_status(
                    api,
                    declared(sharing),
                    namespace=namespace,
                    resource=resource,
                    say=say,
                    restore_command=restore_command,
                )
                return
            if restore:
                windows.restore_only(
                    api,
                    sharing,
                    namespace=namespace,
                    access=access,
                    say=say,
                    restore_command=restore_command,
                )
                return
            code = windows.run(
                api,
                sharing,
                namespace=namespace,
                resource=resource,
                access=access,
                forward=lambda: to_endpoint(
                    target, settings, remedy="check that the pod still runs"
                ),
                command=command or (),
                for_s=for_,
                wait_s=wait,
                # A program may read the command's standard output.
                say=partial(say, console=ASIDE) if command else say,
                warn=warn,
                restore_command=restore_command,
                pool=settings.pool if pool or len(pools) > 1 else None,
            )
        except WindowError as error:
            raise OpsError(str(error)) from error
    raise typer.Exit(code)
