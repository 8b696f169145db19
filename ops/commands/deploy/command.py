"""The command `deploy`."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import ServeWait, check_can_ask, command_app
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
    wait: ServeWait = "15m",  # type: ignore[assignment]  # Read by the parser.
) -> None:
    """Show Terraform's plan, ask, apply it, and follow it until the endpoint serves.

    KUBE_CONFIG_PATH and KUBE_CTX name the cluster, PG_CONN_STR the database of Terraform's state.
    Exit code: 0 the endpoint serves, or a tenant of the settings has the card; 1 an error;
    3 refused before any change, because the plan would remove a namespace, a volume, a claim or an
    object of somebody else, or create one that exists and is not this stack's. After an apply:
    4 it still waits or somebody stopped it; 10 image, 11 Secret, 12 crash, 13 quota, 14 admission,
    15 node, 16 volume, 17 download, 18 an object is being deleted or is gone.

    Example: `python -m ops deploy`
    """
    from ops.commands.deploy import shown
    from ops.commands.deploy.ending import last_line
    from ops.commands.deploy.policy import Ordinary
    from ops.commands.deploy.run import deploy as run
    from ops.machine.signals import ended_by_signals
    from stacks.declared import load_settings

    check_can_ask("deploy", yes=yes, does="applies")
    # The file of a plan contains the whole state, so every way to end must delete it.
    with ended_by_signals():
        outcome = run(
            load_settings(),
            show=shown.show_terraform_plan,
            approve=lambda: yes or typer.confirm("Apply this plan?"),
            policy=Ordinary(allow_removal=allow_removal or ()),
            wait_s=wait,
            say=say,
        )
    shown.show_objects(CONSOLE, outcome.objects)
    say(last_line(outcome, wait_s=wait))
