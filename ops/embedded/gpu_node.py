"""The GPU node of each pool in the embedded cluster, as its settings describe it."""

from __future__ import annotations

from llama_swap_config.cluster.pod_resources import HOSTNAME, PRODUCT
from llama_swap_config.cluster.sharing import AtOnce
from llama_swap_config.cluster.storage import LocalSsdStorage
from llama_swap_config.fit.card import SHARED
from ops.embedded.admin_api import Object
from stacks.pools import settings_of_pools
from stacks.settings import ONLY_POOL, Settings

_NAME = "k8s-node1"
"""The node's name where no setting says it, and the pool has no name of the operator's."""
_RENAMED = ".shared"
"""How the device plugin's `renameByDefault` ends the resource of a shared card."""


def node_name(settings: Settings) -> str:
    """Return the name of the node that the settings select."""
    if HOSTNAME in settings.gpu.node_selector:
        return settings.gpu.node_selector[HOSTNAME]
    if isinstance(settings.storage, LocalSsdStorage):
        return settings.storage.node
    return _NAME if settings.pool == ONLY_POOL else f"k8s-{settings.pool}"


def slices(settings: Settings) -> int:
    """Return how often the device plugin hands a card out."""
    return settings.sharing.slices if isinstance(settings.sharing, AtOnce) else 1


def describe(settings: Settings) -> str:
    """Return the node and the cards of each pool in words."""
    return "; ".join(map(_describe, settings_of_pools(settings)))


def _describe(settings: Settings) -> str:
    count = "one" if settings.gpu.count == 1 else settings.gpu.count
    shared = f", shared in {slices(settings)} slices" if slices(settings) > 1 else ""
    return f"node {node_name(settings)} has {count} {settings.gpu.unshared_product}{shared}"


def node(settings: Settings, *, kubelet_port: int) -> Object:
    """Make the node of a pool.

    Args:
        settings: The pool's settings, which select it.
        kubelet_port: The port where kwok answers in place of the kubelet.
    """
    gpu, resources = settings.gpu, settings.resources
    product = gpu.unshared_product
    if slices(settings) > 1 and not gpu.resource.endswith(_RENAMED):
        product += SHARED
    capacity = {
        # Larger than production's node if the settings ask for more.
        "cpu": str(max(16, 2 * resources.cpu_request_millicores // 1000)),
        "memory": f"{max(32, 2 * resources.memory_limit_gib)}Gi",
        "ephemeral-storage": f"{max(200, 2 * resources.ephemeral_storage_limit_gib)}Gi",
        "pods": "110",
        gpu.resource: str(gpu.count * slices(settings)),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node_name(settings),
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                HOSTNAME: node_name(settings),
                PRODUCT: product,
                **gpu.node_selector,
            },
        },
        "spec": {
            "taints": [
                {"key": taint.key, "value": taint.value, "effect": taint.effect}
                for taint in gpu.taints
            ]
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "capacity": capacity,
            "allocatable": capacity,
        },
    }


def is_usable(found: Object | None, settings: Settings) -> bool:
    """Whether the node is ready and has no taint beside those of the settings.

    Kubernetes removes its own taints, such as `node.kubernetes.io/unreachable`, a moment after the
    node is ready.
    """
    if found is None:
        return False
    conditions = found.get("status", {}).get("conditions", ())
    taints = found["spec"].get("taints", ())
    declared = {(taint.key, taint.effect) for taint in settings.gpu.taints}
    return (
        any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in conditions
        )
        and {(taint["key"], taint["effect"]) for taint in taints} <= declared
    )
