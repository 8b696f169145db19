"""Workloads that run in the namespace and that the stack neither takes over nor declares."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ops.cluster.api import KubeApi
from ops.errors import OpsError
from ops.terraform.changes import ResourceChange
from ops.terraform.verdict import has_label

_KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


def workloads_beside(
    api: KubeApi, namespace: str, declared: Collection[ResourceChange]
) -> Iterator[str]:
    """Say which workloads stay, and what becomes of them.

    Args:
        api: The API server.
        namespace: The endpoint's namespace.
        declared: The plan.
    """
    identities = {change.identity for change in declared if change.after}
    for kind, plural in _KINDS.items():
        try:
            listed = api.get(f"/apis/apps/v1/namespaces/{namespace}/{plural}") or {"items": []}
        except OpsError as error:
            yield f"Which {plural} run beside it is not known ({error})."
            continue
        for found in listed["items"]:
            name = found["metadata"]["name"]
            is_ours = has_label(found["metadata"].get("labels") or {})
            if is_ours or (kind, namespace, name) in identities:
                continue
            yield (
                f"{kind} {name} keeps running, and the card if it has it; its new pods must meet "
                "the Pod Security Standard restricted."
            )
