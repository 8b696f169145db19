"""The objects around the stack in the embedded cluster, made from the settings.

They are the GPU node of each pool, its RuntimeClass, a StorageClass with a volume, the namespace
of a gateway that runs already, and stand-ins for the GPU's other users.
"""

from __future__ import annotations

from llama_swap_config.gateway.settings import ExistingGateway
from ops.embedded import gpu_node, gpu_users
from ops.embedded.admin_api import FIELD_MANAGER, AdminApi, Object
from ops.embedded.provisioned import provisioned
from stacks.pools import settings_of_pools
from stacks.settings import Settings

_COLLECTIONS = {
    "Node": "/api/v1/nodes",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
}
"""Kind -> the path of its objects in all namespaces."""


def apply(api: AdminApi, settings: Settings, *, kubelet_port: int) -> None:
    """Make the objects of the settings, and delete those that the settings no longer name.

    Args:
        api: The API server.
        settings: The settings.
        kubelet_port: The port where kwok answers in place of the kubelet.

    Raises:
        OpsError: when the API server refuses an object.
        OSError: when it does not answer.
    """
    pools = settings_of_pools(settings)
    nodes = [gpu_node.node(pool, kubelet_port=kubelet_port) for pool in pools]
    users = gpu_users.gpu_users(settings)
    named = {pool.gpu.runtime_class for pool in pools}
    classes = [_runtime_class(name) for name in sorted(filter(None, named))]
    stored = tuple(provisioned(settings))
    _delete_released(api)
    for declared in (*nodes, *classes, *stored):
        api.apply(_path(declared), declared)
    for node in nodes:
        api.apply(f"{_path(node)}/status", node)
    # Another node would take the pods of these, and another user their slices.
    _delete_undeclared(api, (*nodes, *classes, *stored, *users))
    _delete_pods_without_node(api)
    if isinstance(settings.gateway, ExistingGateway):
        _make_namespace(api, settings.gateway.namespace)
    for user in users:
        _apply_user(api, user)


def nodes_are_usable(api: AdminApi, settings: Settings) -> bool:
    """Whether pods can run on the GPU node of each pool.

    Raises:
        OSError: when the API server does not answer, or refuses the request.
    """
    return all(
        gpu_node.is_usable(api.get(f"{_COLLECTIONS['Node']}/{gpu_node.node_name(pool)}"), pool)
        for pool in settings_of_pools(settings)
    )


def _runtime_class(name: str) -> Object:
    """Make a RuntimeClass: the API server refuses a pod that names an unknown one."""
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": name,
    }


def _apply_user(api: AdminApi, user: Object) -> None:
    """Apply a stand-in; one that exists keeps its replicas, because it may be in a window."""
    _make_namespace(api, user["metadata"]["namespace"])
    found = api.get(_path(user))
    if found is None:
        api.apply(_path(user), user)
    elif _is_ours(found):
        spec = user["spec"] | {"replicas": found["spec"]["replicas"]}
        api.apply(_path(user), user | {"spec": spec})


def _make_namespace(api: AdminApi, name: str) -> None:
    if api.get(f"/api/v1/namespaces/{name}") is None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        api.apply(f"/api/v1/namespaces/{name}", namespace)


def _delete_undeclared(api: AdminApi, declared: tuple[Object, ...]) -> None:
    """Delete what an earlier start made from other settings."""
    kept = {_path(made) for made in declared}
    for kind, collection in _COLLECTIONS.items():
        for found in api.items(collection):
            path = _path({"kind": kind, **found})
            if path not in kept and _is_ours(found):
                api.delete(path)


def _delete_released(api: AdminApi) -> None:
    """Delete the volumes whose claim is gone, to which no other claim would bind."""
    for found in api.items(_COLLECTIONS["PersistentVolume"]):
        if _is_ours(found) and found["status"].get("phase") == "Released":
            api.delete(_path({"kind": "PersistentVolume", **found}))


def _delete_pods_without_node(api: AdminApi) -> None:
    """Delete the pods of deleted nodes, which otherwise stay for a minute."""
    nodes = {node["metadata"]["name"] for node in api.items(_COLLECTIONS["Node"])}
    for pod in api.items("/api/v1/pods"):
        if pod["spec"].get("nodeName", "") not in {"", *nodes}:
            metadata = pod["metadata"]
            api.delete(
                f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}", grace_s=0
            )


def _is_ours(found: Object) -> bool:
    fields = found["metadata"].get("managedFields", ())
    return any(entry.get("manager") == FIELD_MANAGER for entry in fields)


def _path(object_: Object) -> str:
    collection, metadata = _COLLECTIONS[object_["kind"]], object_["metadata"]
    if "namespace" in metadata:
        before, _, plural = collection.rpartition("/")
        collection = f"{before}/namespaces/{metadata['namespace']}/{plural}"
    return f"{collection}/{metadata['name']}"
