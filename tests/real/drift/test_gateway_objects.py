"""The objects of both kinds of gateway are compared like the stack's others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.commands.drift.cluster import look
from ops.commands.drift.declared import Declared, declared_of
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import Synth
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, SETTINGS, WITH_KEY
from tests.real.drift.system import WRITER
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.settled import until_settled


@pytest.fixture
def api(cluster: EmbeddedCluster, shared_cluster: SharedCluster) -> Iterator[KubeApi]:
    """The cluster; the objects of the other kind of gateway would be drift."""
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with pytest.MonkeyPatch.context() as patch, KubeApi(target) as api:
        patch.setenv("KUBE_CONFIG_PATH", str(cluster.kubeconfig))
        patch.setenv("KUBE_CTX", cluster.kube_context)
        yield api
    shared_cluster.empty()


def differing(declared: Declared, api: KubeApi) -> list[str]:
    return [f"{each.subject}: {each.field}" for each in look(declared, api).findings]


@pytest.mark.parametrize(
    ("gateway", "path", "edit", "difference"),
    [
        (
            GATEWAY,
            "/apis/apps/v1/namespaces/llama-cpp/deployments/gateway",
            {"spec": {"replicas": 2}},
            "Deployment gateway: spec.replicas",
        ),
        (
            EXISTING_GATEWAY,
            "/api/v1/namespaces/litellm/configmaps/llama-cpp-gateway",
            {"data": {"policy.json": "{}"}},
            "ConfigMap llama-cpp-gateway: data[policy.json]",
        ),
    ],
    ids=["a gateway", "a gateway that runs already"],
)
def test_an_edited_object_of_a_gateway_is_drift(
    gateway: Gateway | ExistingGateway,
    path: str,
    edit: dict[str, Any],
    difference: str,
    api: KubeApi,
    cluster: EmbeddedCluster,
    kube: Cluster,
    synth: Synth,
    tmp_path: Path,
) -> None:
    changes: dict[str, Any] = {"gateway": gateway, **WITH_KEY}
    settings = replace(SETTINGS, **changes)
    embedded.declare(cluster, settings)
    declared = declared_of(settings, DECLARATION, synth(**changes), directory=tmp_path)
    kube.apply(declared.objects)
    until_settled(api, declared.objects)
    assert differing(declared, api) == []
    status, answer = api.request("PATCH", f"{path}{WRITER}", edit)
    assert status == 200, answer
    assert differing(declared, api) == [difference]
