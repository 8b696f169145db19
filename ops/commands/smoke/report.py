"""The report of the checks: a table, JSON, and JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llama_swap_config.front_ends import FRONT_ENDS
from ops.commands.smoke.device_check import NAME as DEVICE
from ops.commands.smoke.model_checks import MODEL_CHECKS
from ops.commands.smoke.run import Check, Result
from ops.report.terminal import titled_table

_STYLES = {"ok": "green", "failed": "bold red", "skipped": "yellow", "not known": "yellow"}
_TIMED = {"text": "cold (s)", "warm": "warm (s)"}
"""The checks whose time the table shows, and their headings."""


def show(console: Console, result: Result) -> None:
    """Print the endpoint's checks, one row per model, and the reasons of failures."""
    name = result.front_end and f", {FRONT_ENDS[result.front_end].title}"
    if result.consumer is not None:
        name = f", as {result.consumer}"
    pool = "" if result.pool is None else f"pool {result.pool}: "
    console.print(f"\n{pool}{result.url}{name or ''}", highlight=False, soft_wrap=True)
    for check in result.checks:
        if check.model is None:
            line = Text(f"  {check.name:14}").append(check.outcome, _STYLES[check.outcome])
            if remark := check.note or (check.outcome == "skipped" and check.reason):
                line.append(f": {remark}")
            console.print(line, soft_wrap=True)
    console.print(_table(result.checks))
    _show_devices(console, [check for check in result.checks if check.name == DEVICE])
    if result.failed:
        console.print("\nFailed", style="bold")
    for check in result.failed:
        console.print(f"  {line_of(check)}", markup=False, highlight=False, soft_wrap=True)


def _show_devices(console: Console, checks: list[Check]) -> None:
    """Print a line for each model, as a reason does not fit into a table."""
    if checks:
        console.print("\nDevices", style="bold")
    width = max((len(check.model or "") for check in checks), default=0)
    for check in checks:
        line = Text(f"  {check.model:{width}} ")
        line.append(check.note or check.outcome, _STYLES[check.outcome])
        if check.outcome == "not known":
            line.append(f": {check.reason}")
        console.print(line, soft_wrap=True)


def line_of(check: Check, pool: str | None = None) -> str:
    """Return a failed check in one line, with its pool if several were asked."""
    where = "" if pool is None else f"pool {pool}: "
    return f"{where}{check.model or 'endpoint'}: {check.name}: {check.reason}"


def _table(checks: Iterable[Check]) -> Table:
    columns = [_TIMED.get(name, name) for name, _ in MODEL_CHECKS]
    table = titled_table("Models", "model", *columns, right=_TIMED.values())
    rows: dict[str, dict[str, Text]] = {}
    for check in checks:
        if check.model is not None and check.name != DEVICE:
            rows.setdefault(check.model, {})[check.name] = _cell(check)
    for model, cells in rows.items():
        table.add_row(model, *(cells.get(name, Text("-")) for name, _ in MODEL_CHECKS))
    return table


def _cell(check: Check) -> Text:
    if check.outcome == "ok" and check.name in _TIMED:
        return Text(f"{check.seconds:.2f}" if not check.note else f"loaded, {check.seconds:.2f}")
    return Text(check.outcome, style=_STYLES[check.outcome])


def to_json(results: Sequence[Result], warnings: Iterable[str]) -> dict[str, Any]:
    """Return the result as a JSON document, or those of several pools as a list in one."""
    said = list(warnings)
    if results[0].pool is None:
        return _document(results[0], warnings=said)
    return {
        "ok": not any(result.failed for result in results),
        "warnings": said,
        "pools": [{"pool": result.pool, **_document(result)} for result in results],
    }


def _document(result: Result, **of_command: object) -> dict[str, Any]:
    return {
        "url": result.url,
        "front_end": result.front_end,
        "consumer": result.consumer,
        "ok": not result.failed,
        **of_command,
        "checks": [asdict(check) for check in result.checks],
    }


def to_junit(results: Sequence[Result]) -> str:
    """Return JUnit XML with one suite for each endpoint and one per model."""
    suites: dict[str, list[Check]] = {}
    for result in results:
        prefix = "" if result.pool is None else f"{result.pool}."
        for check in result.checks:
            suites.setdefault(f"{prefix}{check.model or 'endpoint'}", []).append(check)
    every = [check for checks in suites.values() for check in checks]
    root = ET.Element("testsuites", _counts(every), name="smoke")
    for name, checks in suites.items():
        suite = ET.SubElement(root, "testsuite", _counts(checks), name=name)
        for check in checks:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"smoke.{name}",
                name=check.name,
                time=f"{check.seconds:.3f}",
            )
            if check.outcome != "ok":
                kind = "failure" if check.outcome == "failed" else "skipped"
                ET.SubElement(case, kind, message=check.reason)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(checks: Iterable[Check]) -> dict[str, str]:
    checks = tuple(checks)
    outcomes = [check.outcome for check in checks]
    return {
        "tests": str(len(checks)),
        "failures": str(outcomes.count("failed")),
        "skipped": str(outcomes.count("skipped") + outcomes.count("not known")),
        "time": f"{sum(check.seconds for check in checks):.3f}",
    }
