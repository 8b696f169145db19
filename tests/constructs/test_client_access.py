"""The NetworkPolicy on connections to the endpoint."""

from __future__ import annotations

from typing import Any

from tests.conftest import Synth
from tests.constructs.synthesized import resources

Json = dict[str, Any]


def test_only_the_client_namespaces_may_connect(deployed: dict[str, Json]) -> None:
    spec = deployed["network_policy_v1.llama-swap-clients"]["spec"]
    (rule,) = spec["ingress"]
    (client,) = rule["from"]
    (expression,) = client["namespace_selector"]["match_expressions"]
    assert expression["values"] == ["litellm", "monitoring"]
    assert [port["port"] for port in rule["ports"]] == ["8080"]
    assert spec["policy_types"] == ["Ingress"]


def test_without_client_namespaces_nobody_may_connect(synth: Synth) -> None:
    spec = resources(synth(client_namespaces=()))["network_policy_v1.llama-swap-clients"]["spec"]
    assert "Ingress" in spec["policy_types"]
    assert not spec.get("ingress")
