"""The embedded cluster's GPU node is the one that the settings describe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.pod_resources import PodResources
from llama_swap_config.cluster.sharing import AtOnce
from llama_swap_config.cluster.storage import LocalSsdStorage, ProvisionedStorage
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import CoTenant
from ops.embedded.gpu_node import describe, is_usable, node, node_name
from ops.embedded.gpu_users import gpu_users
from ops.embedded.provisioned import provisioned
from stacks.pools import settings_of_pools
from stacks.settings import Settings
from tests.declaration.pools import POOLED
from tests.declaration.settings import SETTINGS

LOCAL = LocalSsdStorage(node="ssd-box", path="/srv/models")
SELECTED = replace(SETTINGS.gpu, node_selector={"kubernetes.io/hostname": "gpu-box", "disk": "a"})
AT_ONCE = AtOnce(
    co_tenants=(CoTenant(name="frigate", peak_mib=800), CoTenant(name="ml", peak_mib=2000)),
    slices=4,
    request=3,
)


def changed(**changes: Any) -> Settings:
    return replace(SETTINGS, **changes)


def labels(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = node(settings, kubelet_port=1)["metadata"]["labels"]
    return found


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (SETTINGS, "k8s-node1"),
        (changed(storage=LOCAL), "ssd-box"),
        (changed(gpu=SELECTED), "gpu-box"),
        (changed(gpu=SELECTED, storage=replace(LOCAL, node="gpu-box")), "gpu-box"),
    ],
    ids=["nothing says it", "the volume", "the selector", "both"],
)
def test_the_node_has_the_name_that_the_settings_say(settings: Settings, name: str) -> None:
    assert node_name(settings) == name
    assert labels(settings)["kubernetes.io/hostname"] == name


def test_a_volume_on_another_node_than_the_pod_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"storage\.node is 'ssd-box'; expected 'gpu-box', the"):
        changed(gpu=SELECTED, storage=LOCAL)


def test_the_node_has_every_label_of_the_selector() -> None:
    assert labels(changed(gpu=SELECTED)) == {
        "kubernetes.io/hostname": "gpu-box",
        "nvidia.com/gpu.product": "Tesla-T4",
        "disk": "a",
    }


def test_a_shared_card_is_called_as_gpu_feature_discovery_calls_it() -> None:
    at_once = changed(sharing=AT_ONCE)
    assert labels(at_once)["nvidia.com/gpu.product"] == "Tesla-T4-SHARED"
    renamed = replace(SETTINGS.gpu, resource="nvidia.com/gpu.shared")
    assert labels(replace(at_once, gpu=renamed))["nvidia.com/gpu.product"] == "Tesla-T4"
    spelled = replace(SETTINGS.gpu, product="Tesla-T4-SHARED")
    assert labels(replace(at_once, gpu=spelled))["nvidia.com/gpu.product"] == "Tesla-T4-SHARED"
    assert labels(changed(gpu=spelled))["nvidia.com/gpu.product"] == "Tesla-T4"
    assert describe(at_once) == "node k8s-node1 has one Tesla-T4, shared in 4 slices"


def test_a_pod_of_the_settings_fits_the_node() -> None:
    large = PodResources(
        cpu_request_millicores=40_000, memory_request_gib=100, memory_limit_gib=100
    )
    allocatable = node(changed(resources=large), kubelet_port=1)["status"]["allocatable"]
    assert (allocatable["cpu"], allocatable["memory"]) == ("80", "200Gi")
    assert node(SETTINGS, kubelet_port=1)["status"]["allocatable"]["memory"] == "32Gi"


def test_a_node_is_usable_when_kubernetes_has_removed_its_own_taints() -> None:
    found = node(SETTINGS, kubelet_port=1)
    assert not is_usable(None, SETTINGS)
    assert not is_usable(found, SETTINGS)
    found["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    unreachable = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    declared = found["spec"]["taints"]
    found["spec"]["taints"] = [*declared, unreachable]
    assert not is_usable(found, SETTINGS)
    found["spec"]["taints"] = declared
    assert is_usable(found, SETTINGS)
    del found["spec"]["taints"]
    assert is_usable(found, SETTINGS)


def test_co_tenants_leave_the_endpoint_its_slices() -> None:
    (made,) = gpu_users(changed(sharing=AT_ONCE))
    assert made["metadata"] == {"name": "co-tenant-1", "namespace": "co-tenants"}
    assert made["spec"]["replicas"] == 1


def test_the_node_has_as_many_cards_as_the_settings_say() -> None:
    several = changed(gpu=replace(SETTINGS.gpu, count=3))
    assert node(several, kubelet_port=1)["status"]["allocatable"]["nvidia.com/gpu"] == "3"
    assert describe(several) == "node k8s-node1 has 3 Tesla-T4"


BY_LABEL = replace(
    POOLED,
    gpu=replace(POOLED.gpu, node_selector={"card": "a"}),
    pools=tuple(
        replace(
            pool,
            gpu=replace(pool.gpu, node_selector={"card": pool.name}),
            storage=None,
            storage_size_gib=None,
        )
        for pool in POOLED.pools
    ),
)


def test_each_pool_has_a_node_of_its_own() -> None:
    assert describe(POOLED) == (
        "node k8s-node1 has one Tesla-T4; node k8s-node2 has one NVIDIA-GeForce-RTX-3090; node "
        "k8s-node3 has 2 Tesla-T4"
    )
    names = {node_name(pool) for pool in settings_of_pools(BY_LABEL)}
    assert names == {"k8s-t4", "k8s-rtx3090", "k8s-two-cards"}


def test_co_tenants_of_two_pools_have_other_names() -> None:
    shared, alone = (replace(pool, sharing=AT_ONCE) for pool in POOLED.pools)
    pools = (shared, replace(alone, gpu=replace(alone.gpu, count=1)))
    made = gpu_users(replace(POOLED, sharing=AT_ONCE, pools=pools))
    assert [each["metadata"]["name"] for each in made] == [
        "co-tenant-1",
        "co-tenant-2",
        "co-tenant-3",
    ]
    nodes = [each["spec"]["template"]["spec"]["nodeSelector"] for each in made]
    assert nodes == [dict(pool.gpu.node_selector) for pool in (POOLED, *pools)]


def test_each_pool_has_a_provisioned_volume_of_its_own() -> None:
    pools = tuple(replace(pool, storage=ProvisionedStorage()) for pool in POOLED.pools)
    made = provisioned(replace(POOLED, storage=ProvisionedStorage(), pools=pools))
    volumes = [each["metadata"]["name"] for each in made if each["kind"] == "PersistentVolume"]
    assert volumes == [
        "provisioned-models",
        "provisioned-models-rtx3090",
        "provisioned-models-two-cards",
    ]
