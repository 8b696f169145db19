"""The command `status`."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import Annotated

import typer

from ops.errors import OpsError
from ops.options import AsJson, command_app
from ops.report.terminal import ASIDE, CONSOLE

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
    watch: Annotated[
        bool,
        typer.Option("--watch", help=f"Show it anew every {_INTERVAL_S} s until Ctrl-C."),
    ] = False,
    json_: AsJson = False,
) -> None:
    """Show models and their states, who waits, the last swaps, the card and its window.

    Asks the exporter, never the models: nothing is loaded, and no idle time begins anew.

    Example: `python -m ops status --watch`
    """
    if watch and json_:
        raise typer.BadParameter("--watch cannot be combined with --json")
    from rich.live import Live

    from in_pod.exporter.contract import PORT
    from llama_swap_config.cluster.labels import EXPORTER
    from ops.cluster.environment import check_cluster
    from ops.cluster.port_forward import to_service
    from ops.commands.status.shown import rendered
    from ops.commands.status.state import read_state
    from ops.endpoint.client import Endpoint
    from ops.machine.signals import ended_by_signals
    from stacks.declared import load_settings

    with ended_by_signals(), ExitStack() as stack:
        address = url
        if address is None:
            settings = load_settings()
            if settings.monitoring is None:
                raise OpsError(
                    "the settings deploy no exporter: monitoring is None. Set "
                    "monitoring=Monitoring() in stacks/production.py, or pass an exporter's "
                    "address with --url"
                )
            stack.enter_context(ASIDE.status("connecting to the exporter"))
            address = stack.enter_context(
                to_service(
                    check_cluster(),
                    namespace=settings.namespace,
                    service=EXPORTER,
                    port=PORT,
                    remedy="pass the exporter's address with --url",
                )
            )
        exporter = stack.enter_context(Endpoint(address))
        state = read_state(exporter)
        if json_:
            typer.echo(json.dumps(state.document, indent=2))
        elif not watch:
            CONSOLE.print(rendered(state), highlight=False)
        else:
            live = stack.enter_context(Live(rendered(state), console=CONSOLE, screen=False))
            while True:
                time.sleep(_INTERVAL_S)
                live.update(rendered(read_state(exporter)))
