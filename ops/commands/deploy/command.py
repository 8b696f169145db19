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
            help="Allow this deploy to remove ADDRESS (repeatable).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show Terraform's plan, then apply that plan to the cluster of KUBE_CONFIG_PATH and KUBE_CTX.

    The state is in PG_CONN_STR. Exit code 3: the plan would remove a namespace, a volume, a claim
    or what this stack did not make; then nothing is changed.

    Example: `python -m ops deploy --yes`
    """
    from ops.commands.deploy import shown
    from ops.commands.deploy.run import deploy as run
    from ops.machine.signals import ended_by_signals

    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise typer.BadParameter("there is no terminal to ask on; pass --yes to apply")
    # A plan in a file holds the whole state: it has to go, whatever ends this.
    with ended_by_signals():
        workloads = run(
            show=shown.show_terraform_plan,
            approve=lambda: yes or typer.confirm("Apply this plan?"),
            allow_removal=allow_removal or (),
            say=say,
        )
    shown.show_workloads(CONSOLE, workloads)
    waiting = [each for each in workloads if not each.settled]
    say(
        f"deployed; {len(waiting)} still wait, for the reasons above"
        if waiting
        else "deployed; everything runs"
    )
