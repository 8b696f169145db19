"""The NetworkPolicy on connections from the serving pod."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tests.conftest import Synth
from tests.constructs.synthesized import resources

Json = dict[str, Any]


def may_fetch(policy: Json, address: str, port: int) -> bool:
    """Whether the policy lets the pod connect to an address."""
    host = ipaddress.ip_address(address)
    for rule in policy["spec"].get("egress", []):
        if str(port) not in [entry["port"] for entry in rule["ports"]]:
            continue
        for block in [peer["ip_block"] for peer in rule["to"] if "ip_block" in peer]:
            inside = host in ipaddress.ip_network(block["cidr"])
            if inside and not any(
                host in ipaddress.ip_network(excluded) for excluded in block["except"]
            ):
                return True
    return False


@pytest.mark.parametrize(
    ("address", "port", "allowed"),
    [
        ("93.184.215.14", 443, True),
        ("93.184.215.14", 80, True),
        ("2606:2800:21f:cb07::1", 443, True),
        ("93.184.215.14", 22, False),
        ("10.96.0.1", 443, False),  # The API server's Service.
        ("192.168.1.127", 80, False),  # The NFS server, and the nodes.
        ("172.16.3.4", 80, False),
        ("100.100.1.2", 80, False),
        ("169.254.169.254", 80, False),  # A cloud's metadata service.
        ("127.0.0.1", 80, False),
        ("fd00::1", 443, False),
        ("fe80::1", 443, False),
        ("64:ff9b::a60:1", 443, False),  # 10.96.0.1, translated.
        ("::1", 80, False),
        ("203.0.113.7", 443, False),  # A public range of the operator.
        ("2001:db8::7", 443, False),
    ],
)
def test_images_may_come_from_the_internet_and_not_from_internal_addresses(
    address: str, port: int, allowed: bool, synth: Synth
) -> None:
    document = synth(internal_ranges=("203.0.113.0/24", "2001:db8::/32"))
    policy = resources(document)["network_policy_v1.llama-swap-egress"]
    assert may_fetch(policy, address, port) is allowed
    assert policy["spec"]["policy_types"] == ["Egress"]


def test_remote_images_can_be_disabled(synth: Synth) -> None:
    policy = resources(synth(remote_images=False))["network_policy_v1.llama-swap-egress"]
    assert policy["spec"]["policy_types"] == ["Egress"]
    assert not policy["spec"].get("egress")


def test_the_policy_selects_only_the_serving_pod(deployed: dict[str, Json]) -> None:
    policy = deployed["network_policy_v1.llama-swap-egress"]["spec"]
    served = deployed["deployment_v1.llama-swap"]["spec"]["template"]["metadata"]["labels"]
    job = deployed["job_v1.model-download"]["spec"]["template"]["metadata"]["labels"]
    assert policy["pod_selector"]["match_labels"].items() <= served.items()
    assert not policy["pod_selector"]["match_labels"].items() <= job.items()
