"""The command `deploy`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ops.options import command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def deploy(
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    allow_removal: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-removal",
            metavar="ADDRESS",
            help="Allow this deploy to remove the object of this Terraform address, such as "
            "kubernetes_service.llama_swap; repeatable (default: none).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show Terraform's plan, ask, and apply that plan to the cluster.

    KUBE_CONFIG_PATH and KUBE_CTX name the cluster, PG_CONN_STR the database of Terraform's state.
    Exit code: 0 applied, 1 an error, 3 refused before any change, because the plan would remove a
    namespace, a volume, a claim or an object that this stack did not create.

    Example: `python -m ops deploy`
    """
    from ops.commands.deploy import shown
    from ops.commands.deploy.run import deploy as run
    from ops.machine.signals import ended_by_signals

    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise typer.BadParameter(
            "standard input is not a terminal; pass --yes to apply without asking"
        )
    # The file of a plan contains the whole state, so every way to end must delete it.
    with ended_by_signals():
        workloads = run(
            show=shown.show_terraform_plan,
            approve=lambda: yes or typer.confirm("Apply this plan?"),
            allow_removal=allow_removal or (),
            say=say,
        )
    shown.show_workloads(CONSOLE, workloads)
    waiting = [workload for workload in workloads if not workload.settled]
    say(
        f"deployed; {len(waiting)} not ready yet, for the reasons above"
        if waiting
        else "deployed; everything is ready"
    )
