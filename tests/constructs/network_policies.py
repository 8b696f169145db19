"""The stack's NetworkPolicies, and whom and what they allow."""

from __future__ import annotations

import ipaddress
from typing import Any

from tests.constructs.synthesized import resources

Json = dict[str, Any]


def ingress(document: Json, component: str = "llama-swap") -> Json:
    """The spec of the policy on connections to a component's pods."""
    found: Json = resources(document)[f"network_policy_v1.{component}-clients"]["spec"]
    assert found["policy_types"] == ["Ingress"]
    return found


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


def egress(document: Json, component: str) -> Json:
    """The spec of the policy on connections from a component's pods."""
    found: Json = resources(document)[f"network_policy_v1.{component}-egress"]["spec"]
    assert found["policy_types"] == ["Egress"]
    return found


def may_connect(policy: Json, address: str, port: int) -> bool:
    """Whether a policy lets its pods connect to an address."""
    # A plug-in takes an address as it is written, not the IPv4 address that it stands for.
    host = ipaddress.ip_address(address)
    for rule in policy.get("egress", []):
        if "ports" in rule and str(port) not in [entry["port"] for entry in rule["ports"]]:
            continue
        for block in [peer["ip_block"] for peer in rule["to"] if "ip_block" in peer]:
            denied = [ipaddress.ip_network(cidr) for cidr in block.get("except", ())]
            if host in ipaddress.ip_network(block["cidr"]) and not any(
                host in network for network in denied
            ):
                return True
    return False


def namespaces(policy: Json) -> list[str]:
    """The namespaces whose pods a policy names."""
    return [
        peer["namespace_selector"]["match_labels"]["kubernetes.io/metadata.name"]
        for rule in policy.get("egress", [])
        for peer in rule["to"]
        if "namespace_selector" in peer
    ]
