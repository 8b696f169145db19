"""The Deployments of a window, and the holders of the card."""

from __future__ import annotations

from typing import Any

import pytest

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT, ENDPOINT_REPLICAS
from in_pod.kubernetes.workload import Workload
from ops.cluster.gpu_tenants import Holders, lacks
from ops.commands.window.opening import tenant_state
from tests.declaration.settings import SETTINGS
from tests.fakes.lease_server import LeaseServer


def test_window_scales_the_deployment_of_the_stack(production: dict[str, Any]) -> None:
    replicas = {
        (
            deployment["metadata"]["namespace"],
            deployment["metadata"]["name"],
        ): deployment["spec"]["replicas"]
        for deployment in production["resource"]["kubernetes_deployment_v1"].values()
    }
    assert int(replicas[SETTINGS.namespace, ENDPOINT_DEPLOYMENT]) == ENDPOINT_REPLICAS


def test_ready_pods_never_exceed_replicas() -> None:
    """A pod stays ready until a slow controller has seen the new scale; its status lags too."""
    tenant = Workload(kind="Deployment", namespace="immich", name="ml")
    state = tenant_state(tenant, {"spec": {"replicas": 0}}, 1)
    assert (state.replicas, state.ready) == (0, 0)
    state = tenant_state(tenant, {"spec": {"replicas": 2}, "status": {"readyReplicas": 0}}, 1)
    assert (state.replicas, state.ready) == (2, 1)


def test_holders_are_empty_without_permission_to_list_pods() -> None:
    server = LeaseServer()
    server.refuses = [403]
    assert Holders(server, "nvidia.com/gpu").line() == ""


@pytest.mark.parametrize(
    ("message", "resource", "expected"),
    [
        ("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", "nvidia.com/gpu", True),
        ("1 Insufficient cpu, 1 Insufficient nvidia.com/gpu", "nvidia.com/gpu", True),
        ("1 node(s) had untolerated taint {nvidia.com/gpu: present}", "nvidia.com/gpu", False),
        ("1 Insufficient nvidia.com/gpu.shared.", "nvidia.com/gpu", False),
        ("1 Insufficient nvidia.com/gpu.shared.", "nvidia.com/gpu.shared", True),
        ("", "nvidia.com/gpu", False),
    ],
)
def test_a_pod_waits_for_the_card_only_if_none_is_left(
    message: str, resource: str, expected: bool
) -> None:
    assert lacks(message, resource) is expected
