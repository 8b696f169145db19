"""The command `up`."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import EMBEDDED, EmbeddedDir, command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def up(
    state_dir: EmbeddedDir = EMBEDDED,
    gateway: Annotated[
        bool,
        typer.Option(
            "--gateway",
            help="Also start LiteLLM with the consumers of llama_swap_config/consumers.py "
            "(default: stop it if it runs). Its first run installs 680 MB.",
        ),
    ] = False,
    monitoring: Annotated[
        bool,
        typer.Option(
            "--monitoring",
            help="Also start the exporter and a Prometheus with the alerts (default: stop them if "
            "they run). Its first run builds Prometheus where PATH has none: 3 minutes of CPU "
            "time.",
        ),
    ] = False,
) -> None:
    """Start the embedded cluster on this machine, deploy the stack into it, and serve its models.

    Needs no GPU and no container runtime: the objects are real, their pods run nothing, and tiny
    models with random weights are served beside the cluster. The first run builds the programs:
    14 minutes of CPU time, shared by all cores, and 6 more where PATH has neither terraform nor
    tofu.

    Example: `python -m ops up`
    """
    from ops.commands.deploy.ending import last_line
    from ops.commands.up import summary
    from ops.commands.up.run import SERVE_TIMEOUT_S
    from ops.commands.up.run import up as run
    from stacks.declared import load_settings

    deployed = run(
        state_dir,
        settings=load_settings(),
        with_gateway=gateway,
        with_monitoring=monitoring,
        say=say,
    )
    summary.show_deployed(CONSOLE, deployed)
    say(last_line(deployed.outcome, wait_s=SERVE_TIMEOUT_S))
