"""Show what `doctor --cluster` found, as a table or JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from ops.commands.doctor.cluster.check import Verdict
from ops.commands.doctor.cluster.examine import Examination
from ops.report.terminal import titled_table

_STYLES: dict[Verdict, str] = {
    "ok": "",
    "hint": "yellow",
    "not known": "yellow",
    "blocks": "bold red",
}
_VERDICTS = {
    True: ("works", "green"),
    None: ("not known", "yellow"),
    False: ("does not work", "bold red"),
}


def show(console: Console, examination: Examination) -> None:
    """Print each check, what to do about those that are not ok, and the verdict."""
    table = titled_table("Cluster and database", "check", "verdict", "found", "wanted")
    for check in examination.checks:
        style = _STYLES[check.verdict]
        table.add_row(
            Text(check.name),
            Text(check.verdict, style),
            Text(check.found or "-", style),
            Text(check.wanted or "-"),
        )
    console.print(table)
    advised = [check for check in examination.checks if check.status != "ok"]
    if advised:
        console.print("\nWhat to do", style="bold")
    for check in advised:
        console.print(Text(f"  {check.name}: {check.remedy}"), soft_wrap=True)
    verdict = _VERDICTS[examination.works]
    reasons = [
        check.name
        for check in examination.checks
        if check.blocks and (check.status == "wrong" or examination.works is None)
    ]
    line = Text("\n  deploy    ").append(*verdict)
    console.print(line.append(f": {', '.join(reasons)}" if reasons else ""), soft_wrap=True)


def as_json(examination: Examination) -> dict[str, Any]:
    """Return the examination as a JSON document."""
    return {
        "works": {"deploy": examination.works},
        "checks": [
            {
                "name": check.name,
                "verdict": check.verdict,
                "found": check.found,
                "wanted": check.wanted,
                "is_needed": check.is_needed,
                "remedy": "" if check.status == "ok" else check.remedy,
            }
            for check in examination.checks
        ],
    }
