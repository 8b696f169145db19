"""The accounts of docs/ci on an embedded cluster."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT

DOCS = ROOT / "docs" / "ci"
NAMESPACE = "llama-cpp"


def create_namespace(kube: Cluster, name: str) -> None:
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])


def account(cluster: EmbeddedCluster, kube: Cluster, name: str, directory: Path) -> KubeTarget:
    """Apply the account's file, and log in as it by a kubeconfig of its own."""
    for other in ("immich", "litellm"):
        create_namespace(kube, other)
    kube.apply(yaml.safe_load_all((DOCS / f"{name}.yaml").read_text()))
    return log_in(cluster, NAMESPACE, name, directory)


def log_in(cluster: EmbeddedCluster, namespace: str, name: str, directory: Path) -> KubeTarget:
    """Log in as a service account by a kubeconfig of its own."""
    admin = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(admin) as api:
        status, answer = api.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
    assert status == 201, answer
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    path = directory / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return KubeTarget(config_path=path, context=cluster.kube_context)


def as_role(conn_str: str, role: str) -> str:
    """Log in to PostgreSQL as another role."""
    changed, count = re.subn(r"//[^:@/]+(:[^@/]*)?@", f"//{role}@", conn_str)
    assert count == 1
    return changed


def of_pool(kube: Cluster, namespace: str) -> None:
    """Let the accounts read a further pool, as the file itself says."""
    create_namespace(kube, namespace)
    text = (DOCS / "pool-readers.yaml").read_text().replace("llama-cpp-POOL", namespace)
    kube.apply(yaml.safe_load_all(text))
