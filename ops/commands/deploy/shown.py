"""The output of a deploy: the plan before it, and the objects after it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from ops.cluster.object_states import Meaning, ObjectState
from ops.report import on_terminal
from ops.report.terminal import CONSOLE, titled_table
from ops.terraform.plan_document import terraform_document
from ops.terraform.run import SavedPlan
from ops.terraform.verdict import Verdict

_STYLES: dict[Meaning, str] = {
    "settled": "green",
    "declared": "green",
    "waits": "yellow",
    "stopped": "yellow",
    "failed": "red",
}


def show_terraform_plan(plan: SavedPlan, verdict: Verdict) -> None:
    """Print Terraform's own text of a plan, then the headline and each object."""
    if verdict.planned:
        plan.show()
    on_terminal.show_plan(CONSOLE, terraform_document(verdict))


def show_objects(console: Console, objects: Iterable[ObjectState]) -> None:
    """Print the objects that can wait, with a reason for each that does."""
    table = titled_table("In the cluster", "kind", "name", "state", "waits for")
    for each in objects:
        state = Text(each.state, style=_STYLES[each.meaning])
        table.add_row(each.kind, each.shown_name, state, Text(each.reason))
    console.print(table)
