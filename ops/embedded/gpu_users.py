"""Stand-ins for the other users of the GPU that the settings name."""

from __future__ import annotations

import itertools

from llama_swap_config.cluster.gpu_tenants import TenantKind
from llama_swap_config.cluster.pod_resources import Gpu
from llama_swap_config.cluster.sharing import AtOnce
from ops.embedded.admin_api import Object
from stacks.pools import settings_of_pools
from stacks.settings import Settings

CO_TENANTS = "co-tenants"
"""The namespace of the co-tenants, for which the settings name none."""


def gpu_users(settings: Settings) -> tuple[Object, ...]:
    """Make a stand-in for each tenant, and for each co-tenant that gets a slice.

    A tenant has 0 replicas, so that the endpoint gets the card at first. A co-tenant runs.
    """
    made = []
    # The settings allow names that an object cannot have.
    names = (f"co-tenant-{number}" for number in itertools.count(1))
    for pool in settings_of_pools(settings):
        gpu, sharing = pool.gpu, pool.sharing
        made += [
            _workload(gpu, tenant.kind, tenant.namespace, tenant.name, replicas=0)
            for tenant in pool.tenants
        ]
        if isinstance(sharing, AtOnce):
            free = sharing.co_tenants[: sharing.slices - sharing.request]
            made += [
                _workload(gpu, "Deployment", CO_TENANTS, name, replicas=1)
                for _, name in zip(free, names, strict=False)
            ]
    return tuple(made)


def _workload(gpu: Gpu, kind: TenantKind, namespace: str, name: str, *, replicas: int) -> Object:
    labels = {"app.kubernetes.io/name": name[:63].rstrip("-.")}
    pod: Object = {
        "nodeSelector": dict(gpu.node_selector),
        "tolerations": [
            {"key": key, "operator": "Exists"}
            for key in dict.fromkeys(taint.key for taint in gpu.taints)
        ],
        "containers": [
            {
                "name": "stand-in",
                "image": f"stand-in.invalid/{labels['app.kubernetes.io/name']}:none",
                "resources": {"limits": {gpu.resource: "1"}},
            }
        ],
    }
    if gpu.runtime_class is not None:
        pod["runtimeClassName"] = gpu.runtime_class
    spec: Object = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    # Two pods cannot have the card at the same time, so the old one ends first.
    spec |= {"strategy": {"type": "Recreate"}} if kind == "Deployment" else {"serviceName": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
