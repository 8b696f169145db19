"""Show what `doctor` found, as tables or JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from ops.commands.doctor.finding import JOBS
from ops.commands.doctor.run import Examination
from ops.report.terminal import titled_table


def show(console: Console, examination: Examination) -> None:
    """Print the programs, this machine, and whether each job works."""
    table = titled_table("Programs", "program", "found", "wanted", "for")
    for finding in examination.findings:
        style = "" if finding.works else "bold red" if finding.needed_for else "yellow"
        found = Text(finding.found or ("unusable" if finding.problem else "-"), style)
        table.add_row(finding.name, found, finding.wanted, finding.purpose)
    console.print(table)
    absent = [finding for finding in examination.findings if not finding.works]
    if absent:
        console.print("\nWhat is missing", style="bold")
    for finding in absent:
        remedy = f"  {finding.name}: {finding.problem or finding.without}"
        console.print(remedy, markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nMachine: {examination.machine}", highlight=False, soft_wrap=True)
    console.print(f"Platform: {examination.platform}", highlight=False, soft_wrap=True)
    console.print()
    for job in JOBS:
        reasons = examination.blocking(job)
        verdict = Text("works", "green") if not reasons else Text("does not work", "bold red")
        line = Text(f"  {job:10}").append(verdict)
        if reasons:
            line.append(f": {', '.join(finding.name for finding in reasons)}")
        console.print(line, soft_wrap=True)


def as_json(examination: Examination) -> dict[str, Any]:
    """Return the examination as a JSON document."""
    return {
        "machine": examination.machine,
        "platform": examination.platform,
        "works": {job: not examination.blocking(job) for job in JOBS},
        "programs": [
            {**asdict(finding), "works": finding.works} for finding in examination.findings
        ],
    }
