"""What a window takes the card from, and whom it gives it to."""

from __future__ import annotations

from typing import Any

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT, ENDPOINT_REPLICAS
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from ops.commands.window.holders import Holders
from ops.commands.window.opening import as_it_is
from tests.declaration.settings import SETTINGS
from tests.fakes.lease_server import LeaseServer


def test_the_deployment_that_gets_the_card_is_the_stacks(production: dict[str, Any]) -> None:
    found = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]["replicas"]
        for each in production["resource"]["kubernetes_deployment_v1"].values()
    }
    key = (SETTINGS.namespace, ENDPOINT_DEPLOYMENT)
    assert int(found[key]) == ENDPOINT_REPLICAS


def test_no_more_pods_are_waited_for_than_there_are_replicas() -> None:
    """A pod is ready until a controller that lags has seen it scaled down; its status lags too."""
    tenant = GpuTenant(namespace="immich", deployment="ml")
    found = as_it_is(tenant, {"spec": {"replicas": 0}}, 1)
    assert (found.replicas, found.ready) == (0, 0)
    found = as_it_is(tenant, {"spec": {"replicas": 2}, "status": {"readyReplicas": 0}}, 1)
    assert (found.replicas, found.ready) == (2, 1)


def test_an_account_that_may_not_look_everywhere_names_no_holder() -> None:
    server = LeaseServer()
    server.refuses = [403]
    assert Holders(server).line() == ""
