"""The command `down`."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import EMBEDDED, EmbeddedDir, command_app
from ops.report.terminal import say

app = command_app()


@app.command()
def down(
    state_dir: EmbeddedDir = EMBEDDED,
    delete_data: Annotated[
        bool,
        typer.Option(
            "--delete-data", help="Also delete the directory of --state-dir (default: keep it)."
        ),
    ] = False,
) -> None:
    """Stop the embedded cluster and the endpoint of `up`; keep the data for the next `up`.

    Example: `python -m ops down`
    """
    import shutil

    from ops.commands.serve import run as serve
    from ops.embedded import cluster as embedded
    from ops.embedded import postgres_home
    from ops.machine import gateway, monitoring

    fronted = gateway.stop(state_dir)
    if fronted:
        say("stopped the gateway")
    watched = monitoring.stop(state_dir)
    if watched:
        say("stopped the exporter and Prometheus")
    served = serve.stop(state_dir)
    if served:
        say("stopped the front end and its llama-server")
    if not embedded.down(state_dir, say=say) and not (served or fronted or watched):
        say("nothing was running")
    if delete_data and state_dir.is_dir():
        postgres_home.delete(state_dir / "postgresql")
        shutil.rmtree(state_dir)
        say(f"deleted {state_dir}")
