"""docs/monitoring.md and the runbooks say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from in_pod.exporter.contract import METRICS
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.monitoring.alerts import alerts
from tests.conftest import ROOT
from tests.declaration.settings import SETTINGS

PAGE = ROOT / "docs" / "monitoring.md"
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))


def metric_table() -> str:
    rows = [
        f"| `{name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | "
        f"{metric.help} |"
        for name, metric in METRICS.items()
    ]
    return "\n".join(["| metric | kind | labels | what it is |", "|---|---|---|---|", *rows, ""])


def test_the_page_ends_with_the_table_of_metrics(update_golden: bool) -> None:
    text = PAGE.read_text()
    page = text.split("| metric | kind")[0] + metric_table()
    if update_golden:
        PAGE.write_text(page)
    assert text == page, "renew it: python -m pytest --update-golden tests/docs/test_monitoring.py"


def test_every_alert_stands_in_the_page_and_has_its_runbook(
    locked: tuple[LockedModel, ...],
) -> None:
    declared = alerts(locked, SETTINGS.node.machine)
    linked = dict(re.findall(r"^\| \[(\w+)\]\((runbooks/[a-z-]+\.md)\)", PAGE.read_text(), re.M))
    assert linked == {alert.name: alert.runbook.removeprefix("docs/") for alert in declared}
    assert {f"docs/runbooks/{page.name}" for page in RUNBOOKS} == {
        alert.runbook for alert in declared
    }
    for alert in declared:
        assert (ROOT / alert.runbook).read_text().startswith(f"# {alert.name}: ")


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_has_three_commands(page: Path) -> None:
    text = page.read_text()
    look = text.split("## Look\n")[1].split("\n1. ")[0]
    assert len([line for line in look.splitlines() if line.startswith("    ")]) == 3
    assert "## Do\n" in text
