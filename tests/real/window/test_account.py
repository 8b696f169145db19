"""The restoring account on the real API server: its own requests, and no others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.embedded import credentials
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import Manifest, manifests

ENDPOINT, TENANT = "llama-cpp", "immich"
NAME = "gpu-window-restore"
CORE, APPS = "/api/v1/namespaces", "/apis/apps/v1/namespaces"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{ENDPOINT}/leases"
JOBS = f"/apis/batch/v1/namespaces/{ENDPOINT}"
DEPLOYMENTS = (
    f"{APPS}/{ENDPOINT}/deployments/llama-swap",
    f"{APPS}/{TENANT}/deployments/immich-machine-learning",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    objects: tuple[Manifest, ...]
    admin: KubeApi
    account: KubeApi

    def one(self, kind: str, name: str) -> Manifest:
        (manifest,) = [
            manifest
            for manifest in self.objects
            if (manifest["kind"], manifest["metadata"]["name"]) == (kind, name)
        ]
        return manifest


@pytest.fixture(scope="module")
def deployed(
    cluster: EmbeddedCluster,
    kube: Cluster,
    production: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    """Production, deployed, with one connection as administrator and one as the account."""
    objects = manifests(production)
    kube.apply(objects)
    admin_target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(admin_target) as admin:
        target = account_target(cluster, admin, tmp_path_factory.mktemp("account"))
        with KubeApi(target) as account:
            wait_for_the_roles(account)
            yield Deployed(objects=objects, admin=admin, account=account)


def account_target(cluster: EmbeddedCluster, admin: KubeApi, folder: Path) -> KubeTarget:
    wanted = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600},
    }
    path = f"{CORE}/{ENDPOINT}/serviceaccounts/{NAME}/token"
    status, answer = admin.request("POST", path, wanted)
    assert status == 201, answer
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    kubeconfig = credentials.write_kubeconfig(
        folder / "kubeconfig",
        config["clusters"][0]["cluster"]["server"],
        answer["status"]["token"],
        cluster.state_dir / "certs" / "apiserver.crt",
    )
    return KubeTarget(config_path=kubeconfig, context=credentials.CONTEXT)


def wait_for_the_roles(account: KubeApi) -> None:
    """Wait until the API server, which watches its own objects, has seen the new Roles."""
    deadline = time.monotonic() + 10
    while any(account.request("GET", path)[0] == 403 for path in DEPLOYMENTS):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def lease(deployed: Deployed) -> Iterator[Document]:
    """A window's Lease, created by its holder."""
    wanted = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "gpu-window"},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 60},
    }
    status, made = deployed.admin.request("POST", LEASES, wanted)
    assert status == 201, made
    yield made
    deployed.admin.request("DELETE", f"{LEASES}/gpu-window")


def test_account_reads_takes_over_and_deletes_the_lease(
    deployed: Deployed, lease: Document
) -> None:
    path = f"{LEASES}/gpu-window"
    status, read = deployed.account.request("GET", path)
    assert (status, read["spec"]["holderIdentity"]) == (200, "somebody")
    read["spec"]["holderIdentity"] = NAME
    status, updated = deployed.account.request("PUT", path, read)
    assert (status, updated["spec"]["holderIdentity"]) == (200, NAME)
    assert deployed.account.request("PUT", path, read)[0] == 409
    assert deployed.account.request("DELETE", path)[0] == 200
    assert deployed.admin.get(path) is None


@pytest.mark.parametrize("path", DEPLOYMENTS, ids=[ENDPOINT, TENANT])
def test_account_scales_the_deployment_and_lists_its_pods(deployed: Deployed, path: str) -> None:
    status, before = deployed.account.request("GET", path)
    assert status == 200
    was = before["spec"]["replicas"]
    try:
        status, scaled = deployed.account.request(
            "PATCH", f"{path}/scale", {"spec": {"replicas": 2}}
        )
        assert (status, scaled["spec"]["replicas"]) == (200, 2)
        assert (deployed.admin.get(path) or {})["spec"]["replicas"] == 2
    finally:
        deployed.account.request("PATCH", f"{path}/scale", {"spec": {"replicas": was}})
    assert (deployed.admin.get(path) or {})["spec"]["replicas"] == was
    namespace = before["metadata"]["namespace"]
    status, pods = deployed.account.request("GET", f"{CORE}/{namespace}/pods")
    assert status == 200
    assert "items" in pods


LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "gpu-window"},
}
SCALE = {"spec": {"replicas": 0}}
ALL_RULES = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REFUSED: dict[str, tuple[str, str, Document | None]] = {
    "make the lease": ("POST", LEASES, LEASE),
    "list leases": ("GET", LEASES, None),
    "patch the lease": ("PATCH", f"{LEASES}/gpu-window", {"spec": {}}),
    "read another lease": ("GET", f"{LEASES}/other", None),
    "delete another lease": ("DELETE", f"{LEASES}/other", None),
    "read a tenant's lease": ("GET", f"{LEASES}/gpu-window".replace(ENDPOINT, TENANT), None),
    "delete the deployment": ("DELETE", DEPLOYMENTS[0], None),
    "patch the deployment": ("PATCH", DEPLOYMENTS[0], SCALE),
    "patch a tenant's deployment": ("PATCH", DEPLOYMENTS[1], SCALE),
    "delete a tenant's deployment": ("DELETE", DEPLOYMENTS[1], None),
    "put the scale": ("PUT", f"{DEPLOYMENTS[0]}/scale", SCALE),
    "patch the status": ("PATCH", f"{DEPLOYMENTS[0]}/status", {"status": {}}),
    "list deployments": ("GET", f"{APPS}/{ENDPOINT}/deployments", None),
    "read another deployment": ("GET", f"{APPS}/{TENANT}/deployments/immich-server", None),
    "scale another deployment": (
        "PATCH",
        f"{APPS}/{TENANT}/deployments/immich-server/scale",
        SCALE,
    ),
    "scale it elsewhere": ("PATCH", f"{APPS}/default/deployments/llama-swap/scale", SCALE),
    "list secrets": ("GET", f"{CORE}/{ENDPOINT}/secrets", None),
    "read a secret": ("GET", f"{CORE}/{ENDPOINT}/secrets/llama-swap-keys", None),
    "list a tenant's secrets": ("GET", f"{CORE}/{TENANT}/secrets", None),
    "list config maps": ("GET", f"{CORE}/{ENDPOINT}/configmaps", None),
    "change its program": ("PATCH", f"{CORE}/{ENDPOINT}/configmaps/{NAME}", {"data": {}}),
    "change its cron job": ("PATCH", f"{JOBS}/cronjobs/{NAME}", {"spec": {"suspend": True}}),
    "list jobs": ("GET", f"{JOBS}/jobs", None),
    "read a pod": ("GET", f"{CORE}/{ENDPOINT}/pods/any", None),
    "delete a pod": ("DELETE", f"{CORE}/{TENANT}/pods/any", None),
    "make a pod": ("POST", f"{CORE}/{ENDPOINT}/pods", {"metadata": {"name": "any"}}),
    "exec": ("POST", f"{CORE}/{ENDPOINT}/pods/any/exec?command=id", None),
    "exec by get": ("GET", f"{CORE}/{TENANT}/pods/any/exec?command=id", None),
    "port-forward": ("POST", f"{CORE}/{ENDPOINT}/pods/any/portforward", None),
    "read a log": ("GET", f"{CORE}/{ENDPOINT}/pods/any/log", None),
    "list pods elsewhere": ("GET", f"{CORE}/default/pods", None),
    "list all pods": ("GET", "/api/v1/pods", None),
    "list nodes": ("GET", "/api/v1/nodes", None),
    "list namespaces": ("GET", CORE, None),
    "a token of its own": ("POST", f"{CORE}/{ENDPOINT}/serviceaccounts/{NAME}/token", {}),
    "widen its role": ("PATCH", f"{RBAC}/namespaces/{ENDPOINT}/roles/{NAME}", ALL_RULES),
    "be an administrator": ("POST", f"{RBAC}/clusterrolebindings", {"metadata": {"name": "a"}}),
}


@pytest.mark.parametrize(("method", "path", "body"), REFUSED.values(), ids=REFUSED.keys())
def test_account_is_refused_everything_else(
    method: str, path: str, body: Document | None, deployed: Deployed
) -> None:
    status, answer = deployed.account.request(method, path, body)
    assert status == 403, answer
    assert NAME in answer["message"]


def test_job_of_the_cron_job_runs_with_the_account(
    deployed: Deployed,
) -> None:
    spec = deployed.one("CronJob", NAME)["spec"]["jobTemplate"]["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "by-hand"}, "spec": spec}
    status, answer = deployed.admin.request("POST", f"{JOBS}/jobs", job)
    assert status == 201, answer
    deadline = time.monotonic() + 20
    while not (answer.get("status") or {}).get("succeeded"):
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
        answer = deployed.admin.get(f"{JOBS}/jobs/by-hand") or {}
    selector = "labelSelector=job-name%3Dby-hand"
    pods = deployed.admin.get(f"{CORE}/{ENDPOINT}/pods?{selector}") or {}
    (pod,) = pods["items"]
    assert pod["spec"]["serviceAccountName"] == NAME
    assert pod["spec"]["nodeName"] == "k8s-node1"
