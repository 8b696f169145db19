"""The NetworkPolicy on connections to the endpoint."""

from __future__ import annotations

from typing import Any

from tests.conftest import Synth
from tests.constructs.synthesized import resources
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, WITH_KEY

Json = dict[str, Any]


def policy(document: Json, component: str = "llama-swap") -> Json:
    spec: Json = resources(document)[f"network_policy_v1.{component}-clients"]["spec"]
    assert spec["policy_types"] == ["Ingress"]
    return spec


def admitted(spec: Json) -> tuple[list[str], list[str]]:
    """The namespaces and the components whose pods a policy admits."""
    (rule,) = spec["ingress"]
    namespaces: list[str] = []
    components: list[str] = []
    for client in rule["from"]:
        assert len(client) == 1
        for expression in client.get("namespace_selector", {}).get("match_expressions", ()):
            assert (expression["key"], expression["operator"]) == (
                "kubernetes.io/metadata.name",
                "In",
            )
            namespaces += expression["values"]
        if "pod_selector" in client:
            labels = client["pod_selector"]["match_labels"]
            assert labels["app.kubernetes.io/part-of"] == "llama-cpp"
            components.append(labels["app.kubernetes.io/name"])
    return namespaces, components


def test_without_a_gateway_the_consumers_and_monitoring_may_connect(production: Json) -> None:
    spec = policy(production)
    namespaces = ["photo-poster", "home-assistant", "n8n", "monitoring"]
    assert admitted(spec) == (namespaces, [])
    assert [port["port"] for port in spec["ingress"][0]["ports"]] == ["8080"]


def test_behind_a_gateway_that_runs_already_only_its_namespace_may_connect(synth: Synth) -> None:
    behind = dict(gateway=EXISTING_GATEWAY, **WITH_KEY)
    assert admitted(policy(synth(**behind))) == (["litellm", "monitoring"], [])
    alone = policy(synth(monitoring_namespaces=(), **behind))
    assert admitted(alone) == (["litellm"], [])


def test_behind_the_stacks_gateway_only_its_pods_may_connect(synth: Synth) -> None:
    behind = dict(gateway=GATEWAY, **WITH_KEY)
    assert admitted(policy(synth(**behind))) == (["monitoring"], ["gateway"])
    alone = policy(synth(monitoring_namespaces=(), **behind))
    assert admitted(alone) == ([], ["gateway"])


def test_without_consumers_and_monitoring_nobody_may_connect(synth: Synth) -> None:
    spec = policy(synth(consumers=(), monitoring_namespaces=()))
    assert not spec.get("ingress")
