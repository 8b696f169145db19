"""The real API server accepts every object of this tree's own stack."""

from __future__ import annotations

from typing import Any

from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import manifests


def test_the_api_server_accepts_every_object(
    stack: dict[str, Any], cluster: EmbeddedCluster
) -> None:
    objects = manifests(stack)
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    own = {manifest["metadata"]["name"] for manifest in objects if manifest["kind"] == "Namespace"}
    tenants = {manifest["metadata"].get("namespace") for manifest in objects} - own - {None}
    with Cluster(target) as kube:
        kube.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            for name in sorted(tenants)
        )
        kube.apply(objects)
