"""A service account of the stack, as the kubelet shows it to its pod."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from in_pod.kubernetes.in_cluster import InClusterApi
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import Manifest
from tests.real.window.shared_card import Card
from tests.real.window.window_process import ML, NAMESPACE

_KINDS = ("ServiceAccount", "Role", "RoleBinding")


def objects_of(objects: Iterable[Manifest], account: str) -> list[Manifest]:
    """Return an account of the stack, its Roles and their bindings."""
    found = [
        manifest
        for manifest in objects
        if manifest["kind"] in _KINDS
        and manifest["metadata"]["name"] in (account, f"{NAMESPACE}-{account}")
    ]
    assert {manifest["metadata"]["namespace"] for manifest in found} == {NAMESPACE, ML[0]}
    return found


def mounted_account(
    card: Card, cluster: EmbeddedCluster, account: str, folder: Path, *, reads: Iterable[str]
) -> Path:
    """Write an account's token and the cluster's authority into a directory.

    Args:
        card: The cluster, with the account.
        cluster: The same, as it was started.
        account: Its name.
        folder: Where the directory is made.
        reads: Paths that it may read.
    """
    status, answer = card.api.request(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token",
        {"spec": {"expirationSeconds": 3600}},
    )
    assert status == 201, answer
    directory = folder / "serviceaccount"
    directory.mkdir()
    (directory / "token").write_text(answer["status"]["token"])
    (directory / "ca.crt").write_bytes((cluster.state_dir / "certs/apiserver.crt").read_bytes())
    api = InClusterApi(service_account_dir=directory, url=_server(cluster))
    # The API server learns of new Roles by watching itself, a moment later.
    card.until(lambda: all(api.request("GET", path)[0] != 403 for path in reads))
    return directory


def pod_environment(cluster: EmbeddedCluster) -> dict[str, str]:
    """Return the variables by which a pod finds the API server."""
    host, port = _server(cluster).removeprefix("https://").split(":")
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


def _server(cluster: EmbeddedCluster) -> str:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    address: str = config["clusters"][0]["cluster"]["server"]
    return address
