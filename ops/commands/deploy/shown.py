"""The output of a deploy: the plan before it, and the objects after it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from ops.cluster.object_states import Meaning, ObjectState
from ops.report import on_terminal
from ops.report.document import Document
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
    show_plan(plan, terraform_document(verdict))


def show_plan(plan: SavedPlan, document: Document) -> None:
    """Print Terraform's own text of a plan if it would do something, then a document about it."""
    if document.sections:
        plan.show()
    on_terminal.show_plan(CONSOLE, document)


def show_objects(console: Console, objects: Iterable[ObjectState]) -> None:
    """Print the objects that can wait, with a reason for each that does."""
    table = titled_table("In the cluster", "kind", "name", "state", "waits for")
    for each in objects:
        state = Text(each.state, style=_STYLES[each.meaning])
        table.add_row(each.kind, each.name, state, Text(each.reason))
    console.print(table)
