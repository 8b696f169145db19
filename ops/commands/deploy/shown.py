"""The output of a deploy: the plan before it, and the workloads after it."""

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
    """Print Terraform's own text of a plan, then the headline and each object."""
    if verdict.planned:
        plan.show()
    on_terminal.show_plan(CONSOLE, terraform_document(verdict))


def show_workloads(console: Console, workloads: Iterable[Workload]) -> None:
    """Print the workloads, with a reason for each that is not ready."""
    table = titled_table("In the cluster", "kind", "name", "state", "waits for")
    for workload in workloads:
        state = Text(workload.state, style="green" if workload.settled else "yellow")
        table.add_row(workload.kind, workload.name, state, Text(workload.reason))
    console.print(table)
