"""The rule file, the dashboard and the Operator's objects, as people review them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.monitoring.alerts import alerts, render_rules
from llama_swap_config.monitoring.dashboard import render_dashboard
from llama_swap_config.monitoring.operator import operator_manifests
from stacks.monitoring import alerts_of, dashboard_of
from stacks.pools import pools_of
from tests.conftest import ROOT
from tests.declaration.frozen import DECLARATION
from tests.declaration.pools import POOLS, TWO_CARDS
from tests.declaration.settings import SETTINGS

GOLDEN = ROOT / "tests" / "golden"


@pytest.mark.parametrize("name", ["alerts.yaml", "dashboard.json", "alerts-pools.yaml"])
def test_golden(name: str, locked: tuple[LockedModel, ...], update_golden: bool) -> None:
    texts = {
        "alerts.yaml": render_rules(alerts(locked, SETTINGS.node.machine)),
        "dashboard.json": render_dashboard(),
        "alerts-pools.yaml": render_rules(alerts_of(POOLS)),
    }
    if update_golden:
        (GOLDEN / name).write_text(texts[name])
    assert texts[name] == (GOLDEN / name).read_text()


def test_the_operators_objects_find_the_exporter(locked: tuple[LockedModel, ...]) -> None:
    declared = alerts(locked, SETTINGS.node.machine)
    monitor, rule = operator_manifests(("llama-cpp",), declared)
    assert {monitor["apiVersion"], rule["apiVersion"]} == {"monitoring.coreos.com/v1"}
    assert monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == ("exporter")
    assert monitor["spec"]["endpoints"] == [
        {"port": "http", "path": "/metrics", "interval": "30s"}
    ]
    assert rule["spec"] == yaml.safe_load(render_rules(declared))
    assert [each["metadata"]["namespace"] for each in (monitor, rule)] == ["llama-cpp"] * 2


def test_each_pool_has_a_service_monitor_and_the_first_all_rules() -> None:
    namespaces = tuple(pool.settings.namespace for pool in POOLS)
    *monitors, rule = operator_manifests(namespaces, alerts_of(POOLS))
    assert tuple(each["metadata"]["namespace"] for each in monitors) == namespaces
    assert {each["kind"] for each in monitors} == {"ServiceMonitor"}
    assert (rule["kind"], rule["metadata"]["namespace"]) == ("PrometheusRule", namespaces[0])
    assert [group["name"] for group in rule["spec"]["groups"]] == [
        f"llama-swap-{pool.name}" for pool in POOLS
    ]


def test_one_pool_has_the_rules_and_the_dashboard_of_before(
    locked: tuple[LockedModel, ...],
) -> None:
    pools = pools_of(SETTINGS, DECLARATION)
    assert alerts_of(pools) == alerts(locked, SETTINGS.node.machine)
    assert dashboard_of(pools) == render_dashboard()


def test_the_dashboard_draws_its_rows_for_each_pool() -> None:
    board = json.loads(dashboard_of(POOLS))
    _, variable = board["templating"]["list"]
    assert (variable["name"], variable["type"], variable["multi"]) == ("pool", "custom", True)
    assert variable["query"] == ", ".join(
        f"{pool.name} : {pool.settings.namespace}" for pool in POOLS
    )
    rows = [panel for panel in board["panels"] if panel["type"] == "row"]
    assert {row["repeat"] for row in rows} == {"pool"}
    assert all("$pool" in row["title"] for row in rows)


def test_a_full_card_is_judged_by_the_models_of_that_card() -> None:
    (pool,) = (pool for pool in POOLS if pool.name == TWO_CARDS)
    first, second = pool.declaration.locked
    models = (first, replace(second, model=replace(second.model, cards=(1,))))
    (full,) = (
        alert
        for alert in alerts(models, pool.settings.node.machine, cards=2)
        if alert.name == "LlamaSwapCardFull"
    )
    assert full.expr == (
        f'llama_swap_vram_others_bytes{{card="0"}} > {8563 * 2**20} or '
        f'llama_swap_vram_others_bytes{{card="1"}} > {10638 * 2**20}'
    )
    assert "of card {{ $labels.card }}; minicpm-v-4-5, the smallest model of card 0" in (
        full.description
    )


def test_a_card_without_a_model_is_not_judged() -> None:
    """Both models of the frozen pool are on its first card."""
    (full,) = (
        alert
        for alert in alerts_of(POOLS)
        if (alert.name, alert.pool) == ("LlamaSwapCardFull", TWO_CARDS)
    )
    assert full.expr.count("card=") == 1
