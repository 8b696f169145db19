"""What a deploy shows: the plan before, and what runs afterwards."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from ops.cluster.workloads import Workload
from ops.report import on_terminal
from ops.report.terminal import CONSOLE, titled_table
from ops.terraform.plan_document import terraform_document
from ops.terraform.run import SavedPlan
from ops.terraform.verdict import Verdict


def show_terraform_plan(plan: SavedPlan, verdict: Verdict) -> None:
    """Show what an apply would do: Terraform's own text, then the headline and each object."""
    if verdict.planned:
        plan.show()
    on_terminal.show_plan(CONSOLE, terraform_document(verdict))


def show_workloads(console: Console, workloads: Iterable[Workload]) -> None:
    """Show what runs, and what waits with its reason."""
    table = titled_table("In the cluster", "kind", "name", "state", "waits for")
    for each in workloads:
        style = "green" if each.settled else "yellow"
        table.add_row(each.kind, each.name, Text(each.state, style=style), Text(each.reason))
    console.print(table)
