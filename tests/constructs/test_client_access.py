"""The NetworkPolicy on connections to the endpoint."""

from __future__ import annotations

from typing import Any

from llama_swap_config.cluster.labels import EXPORTER
from tests.conftest import Synth
from tests.constructs.network_policies import admitted, ingress
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, WITH_KEY

Json = dict[str, Any]


def test_without_a_gateway_the_consumers_and_monitoring_may_connect(production: Json) -> None:
    spec = ingress(production)
    namespaces = ["photo-poster", "home-assistant", "n8n", "monitoring"]
    assert admitted(spec) == (namespaces, [EXPORTER])
    assert [port["port"] for port in spec["ingress"][0]["ports"]] == ["8080"]


def test_behind_a_gateway_that_runs_already_only_its_namespace_may_connect(synth: Synth) -> None:
    behind = dict(gateway=EXISTING_GATEWAY, **WITH_KEY)
    assert admitted(ingress(synth(**behind))) == (
        ["litellm", "monitoring"],
        [EXPORTER],
    )
    alone = ingress(synth(monitoring_namespaces=(), **behind))
    assert admitted(alone) == (["litellm"], [EXPORTER])


def test_behind_the_stacks_gateway_only_its_pods_may_connect(synth: Synth) -> None:
    behind = dict(gateway=GATEWAY, **WITH_KEY)
    assert admitted(ingress(synth(**behind))) == (
        ["monitoring"],
        ["gateway", EXPORTER],
    )
    alone = ingress(synth(monitoring_namespaces=(), **behind))
    assert admitted(alone) == ([], ["gateway", EXPORTER])


def test_without_consumers_and_monitoring_nobody_may_connect(synth: Synth) -> None:
    spec = ingress(synth(consumers=(), monitoring_namespaces=(), monitoring=None))
    assert not spec.get("ingress")


def test_the_exporter_answers_monitoring_and_a_gateway_but_no_consumer(synth: Synth) -> None:
    for gateway, clients in (
        (None, (["monitoring"], [])),
        (EXISTING_GATEWAY, (["litellm", "monitoring"], [])),
        (GATEWAY, (["monitoring"], ["gateway"])),
    ):
        assert admitted(ingress(synth(gateway=gateway, **WITH_KEY), EXPORTER)) == clients
