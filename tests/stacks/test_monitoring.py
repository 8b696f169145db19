"""Monitoring of several pools: an exporter in each namespace, the files in the first alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from in_pod.exporter.contract import PLAN_FILE
from llama_swap_config.cluster.labels import EXPORTER
from llama_swap_config.monitoring.names import ALERTS, ALERTS_FILE, DASHBOARD
from tests.conftest import Synth
from tests.constructs.synthesized import unescaped
from tests.declaration.pools import HOUSED, POOLED, POOLS, TWO_CARDS

Json = dict[str, Any]


@pytest.fixture(scope="module")
def found(synth: Synth) -> Json:
    document = synth(HOUSED, pool=POOLED.pool, pools=POOLED.pools, gpu=POOLED.gpu)
    resource: Json = document["resource"]
    return resource


def named(found: Json, kind: str, name: str) -> dict[str, Json]:
    """Return the objects of a name by their namespaces."""
    return {
        it["metadata"]["namespace"]: it
        for it in found[kind].values()
        if it["metadata"]["name"] == name
    }


def test_each_pool_has_an_exporter_that_asks_its_own_endpoint(found: Json) -> None:
    deployments = named(found, "kubernetes_deployment_v1", EXPORTER)
    urls = {}
    for namespace, deployment in deployments.items():
        (container,) = deployment["spec"]["template"]["spec"]["container"]
        urls[namespace] = container["args"][container["args"].index("--url") + 1]
    assert urls == {pool.settings.namespace: pool.settings.url for pool in POOLS}


def test_each_exporter_knows_the_models_and_cards_of_its_pool(found: Json) -> None:
    maps = named(found, "kubernetes_config_map_v1", EXPORTER)
    for pool in POOLS:
        plan = json.loads(unescaped(maps[pool.settings.namespace]["data"])[PLAN_FILE])
        assert [model["id"] for model in plan["models"]] == [
            locked.model.id for locked in pool.declaration.locked
        ]
        assert plan.get("cards") == (2 if pool.name == TWO_CARDS else None)


def test_rules_and_dashboard_are_in_the_first_pools_namespace(found: Json) -> None:
    first = POOLS[0].settings.namespace
    rules = named(found, "kubernetes_config_map_v1", ALERTS)
    assert [*rules] == [*named(found, "kubernetes_config_map_v1", DASHBOARD)] == [first]
    groups = yaml.safe_load(unescaped(rules[first]["data"])[ALERTS_FILE])["groups"]
    assert [group["name"] for group in groups] == [f"llama-swap-{pool.name}" for pool in POOLS]
