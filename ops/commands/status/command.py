"""The command `status`."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ops.errors import OpsError
from ops.options import AsJson, OnlyPool, command_app
from ops.report.terminal import ASIDE, CONSOLE

if TYPE_CHECKING:
    from ops.commands.status.exporter import Forward
    from ops.commands.status.shown import Looks

app = command_app()
_INTERVAL_S = 2


@app.command()
def status(
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="Ask the exporter at this address, http(s)://host:port (default: kubectl "
            "port-forward to the cluster of KUBE_CONFIG_PATH and KUBE_CTX).",
            show_default=False,
        ),
    ] = None,
    pool: OnlyPool = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help=f"Show it anew every {_INTERVAL_S} s until Ctrl-C."),
    ] = False,
    json_: AsJson = False,
) -> None:
    """Show models and their states, who waits, the last swaps, the card and its window.

    Asks the exporter, never the models: nothing is loaded, and no idle time begins anew. With
    several pools it shows each. Exit code: 1 if an exporter does not answer.

    Example: `python -m ops status --watch`
    """
    if watch and json_:
        raise typer.BadParameter("--watch cannot be combined with --json")
    if url is not None and pool is not None:
        raise typer.BadParameter("--url names an exporter, so it excludes --pool")
    from rich.live import Live

    from ops.commands.status.exporter import Exporter
    from ops.commands.status.shown import documented, rendered_pools
    from ops.machine.signals import ended_by_signals

    with ended_by_signals(), ExitStack() as stack:
        forwards = {"": lambda: nullcontext(url)} if url is not None else _forwards(pool)
        exporters = {
            name: stack.enter_context(Exporter.at(forward)) for name, forward in forwards.items()
        }

        def look() -> Looks:
            looks = {name: exporter.look() for name, exporter in exporters.items()}
            for failure in looks.values():
                if len(looks) == 1 and isinstance(failure, OpsError):
                    raise failure
            return looks

        with ASIDE.status("connecting to the exporter"):
            looks = look()
        if json_:
            typer.echo(json.dumps(documented(looks), indent=2))
        elif not watch:
            CONSOLE.print(rendered_pools(looks), highlight=False)
        else:
            live = stack.enter_context(Live(rendered_pools(looks), console=CONSOLE, screen=False))
            while True:
                time.sleep(_INTERVAL_S)
                live.update(rendered_pools(look()))
        if any(isinstance(seen, OpsError) for seen in looks.values()):
            raise typer.Exit(1)


def _forwards(pool: str | None) -> dict[str, Forward]:
    """Return how to reach the exporter of each pool, or of one."""
    from in_pod.exporter.contract import PORT
    from llama_swap_config.cluster.labels import EXPORTER
    from ops.cluster.environment import check_cluster
    from ops.cluster.port_forward import to_service
    from stacks.declared import load_settings_of_pools

    declared = load_settings_of_pools(pool)
    if declared[0].monitoring is None:
        raise OpsError(
            "the settings deploy no exporter: monitoring is None. Set "
            "monitoring=Monitoring() in stacks/production.py, or pass an exporter's "
            "address with --url"
        )
    target = check_cluster()
    return {
        settings.pool: partial(
            to_service,
            target,
            namespace=settings.namespace,
            service=EXPORTER,
            port=PORT,
            pool=settings.pool if len(declared) > 1 else pool,
            remedy="pass the exporter's address with --url",
        )
        for settings in declared
    }
