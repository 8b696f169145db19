"""The command `adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.machine.checkout import ROOT
from ops.options import ServeWait, check_can_ask, command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def adopt(
    yes: Annotated[
        bool, typer.Option("--yes", help="Take over what is shown without asking.")
    ] = False,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            "--forget",
            metavar="ADDRESS",
            help="Let the state lose the entry of this Terraform address, whose object is not in "
            "the endpoint's namespace; the object stays; repeatable (default: none).",
            show_default=False,
        ),
    ] = None,
    copies: Annotated[
        Path,
        typer.Option("--copies", metavar="DIRECTORY", help="Keep a copy of the old state here."),
    ] = ROOT / "state-copies",
    wait: ServeWait = "15m",  # type: ignore[assignment]  # Read by the parser.
) -> None:
    """Take over an endpoint that runs already: from hand-written HCL, a Helm chart or kubectl.

    Shows which objects of the cluster and which entries of the state become this stack's, field by
    field, what is replaced and what is left; asks; imports and deploys. Nothing is deleted that it
    did not show, and no namespace, volume or claim at all. If it is interrupted, run it again.
    Exit code: as for `deploy`.

    Example: `python -m ops adopt`
    """
    from ops.commands.adopt.run import adopt as run
    from ops.commands.adopt.take_over import TakeOver
    from ops.commands.deploy import shown
    from ops.commands.deploy.ending import last_line
    from ops.machine.signals import ended_by_signals
    from ops.report import on_terminal
    from stacks.declared import load_settings

    check_can_ask("adopt", yes=yes, does="takes over")
    settings = load_settings()
    with ended_by_signals():
        outcome = run(
            settings,
            show=lambda document: on_terminal.show_plan(CONSOLE, document),
            approve=lambda: yes or typer.confirm("Take this over?"),
            policy=TakeOver(namespace=settings.namespace, forget=forget or ()),
            copies=copies,
            wait_s=wait,
            say=say,
        )
    shown.show_objects(CONSOLE, outcome.objects)
    say(last_line(outcome, wait_s=wait))
