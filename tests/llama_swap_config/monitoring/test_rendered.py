"""The rule file, the dashboard and the Operator's objects, as people review them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.monitoring.alerts import alerts, render_rules
from llama_swap_config.monitoring.dashboard import render_dashboard
from llama_swap_config.monitoring.operator import operator_manifests
from tests.declaration.settings import SETTINGS

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("name", ["alerts.yaml", "dashboard.json"])
def test_golden(name: str, locked: tuple[LockedModel, ...], update_golden: bool) -> None:
    texts = {
        "alerts.yaml": render_rules(alerts(locked, SETTINGS.node.machine)),
        "dashboard.json": render_dashboard(),
    }
    if update_golden:
        (GOLDEN / name).write_text(texts[name])
    assert texts[name] == (GOLDEN / name).read_text()


def test_the_operators_objects_find_the_exporter(locked: tuple[LockedModel, ...]) -> None:
    declared = alerts(locked, SETTINGS.node.machine)
    monitor, rule = operator_manifests("llama-cpp", declared)
    assert {monitor["apiVersion"], rule["apiVersion"]} == {"monitoring.coreos.com/v1"}
    assert monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == ("exporter")
    assert monitor["spec"]["endpoints"] == [
        {"port": "http", "path": "/metrics", "interval": "30s"}
    ]
    assert rule["spec"] == yaml.safe_load(render_rules(declared))
    assert [each["metadata"]["namespace"] for each in (monitor, rule)] == ["llama-cpp"] * 2
