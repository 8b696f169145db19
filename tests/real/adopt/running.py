"""A cluster and a state, as seen from outside while an endpoint is taken over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from llama_swap_config.cluster.storage import NfsStorage
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.run import Terraform
from tests.real.deploy import hand_written
from tests.real.deploy.applied import apply

Json = dict[str, Any]

NAMESPACE = f"/api/v1/namespaces/{hand_written.NAMESPACE}"
APPS = f"/apis/apps/v1/namespaces/{hand_written.NAMESPACE}"
KEPT = (
    NAMESPACE,
    "/api/v1/persistentvolumes/llama-cpp-models",
    f"{NAMESPACE}/persistentvolumeclaims/llama-cpp-models",
    f"{NAMESPACE}/services/llama-swap",
    f"{NAMESPACE}/configmaps/llama-swap-config",
    f"/apis/batch/v1/namespaces/{hand_written.NAMESPACE}/jobs/download-models",
)
"""What no take-over deletes."""
STORAGE = NfsStorage(
    server="192.168.1.127",
    path="/srv/nfs-ssd/llamacpp",
    claim="llama-cpp-models",
    storage_class="nfs",
)
"""The storage as the HCL has it: its claim keeps its name."""
DEPLOYMENT = f"{APPS}/deployments/llama-swap"


def _workload(labels: dict[str, str]) -> str:
    """The workload of a pod of the HCL, of a neighbour, or of ours."""
    return labels.get("app") or labels.get("app.kubernetes.io/name") or labels["job-name"]


def drop_state(pg_conn_str: str) -> None:
    """Leave the objects as those that no state has."""
    with psycopg.connect(pg_conn_str, autocommit=True) as admin:
        admin.execute('drop schema if exists "llama-cpp" cascade')


def running_pods(api: KubeApi) -> dict[str, str]:
    """The running pods: the name of their workload -> their uid."""
    items = (api.get(f"{NAMESPACE}/pods") or {})["items"]
    return {
        _workload(pod["metadata"]["labels"]): pod["metadata"]["uid"]
        for pod in items
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The endpoint."""

    api: KubeApi
    pg_conn_str: str
    hcl: Terraform

    def uids(self, *paths: str) -> dict[str, str]:
        """Each object's uid; one that is deleted, or being deleted, has none."""
        found = {path: (self.api.get(path) or {}).get("metadata", {}) for path in paths or KEPT}
        return {
            path: metadata["uid"]
            for path, metadata in found.items()
            if "uid" in metadata and "deletionTimestamp" not in metadata
        }

    def pods(self) -> dict[str, str]:
        """The running pods: the name of their workload -> their uid."""
        return running_pods(self.api)

    def state(self) -> str:
        """The state, byte for byte."""
        with psycopg.connect(self.pg_conn_str) as admin:
            ((data,),) = admin.execute('select data from "llama-cpp".states').fetchall()
        return str(data)

    def start_beside(self, name: str) -> None:
        """Start a Deployment that is nobody's business."""
        labels = {"app": name}
        spec = {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{"name": name, "image": name}],
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                },
            },
        }
        body = {"metadata": {"name": name}, "spec": spec}
        status, answer = self.api.request("POST", f"{APPS}/deployments", body)
        assert status == 201, answer

    def until_pods_run(self) -> None:
        """Wait for the pods of the endpoint and of its neighbour."""
        deadline = time.monotonic() + 30
        while not {"llama-swap", "notes"} <= self.pods().keys():
            assert time.monotonic() < deadline, self.api.get(f"{NAMESPACE}/pods")
            time.sleep(0.1)


@contextmanager
def hand_written_endpoint(cluster: EmbeddedCluster, folder: Path) -> Iterator[Running]:
    """Make the endpoint by HCL, and a Deployment beside it that nothing touches.

    Args:
        cluster: The cluster, whose environment is set; it is not emptied.
        folder: Takes the HCL.
    """
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    drop_state(cluster.pg_conn_str)
    terraform = Terraform(hand_written.write(folder, schema_name="llama-cpp"))
    terraform.init()
    apply(terraform)
    with KubeApi(target) as api:
        found = Running(api=api, pg_conn_str=cluster.pg_conn_str, hcl=terraform)
        found.start_beside("notes")
        found.until_pods_run()
        yield found


def nothing_changed(running: Running, act: Callable[[], object]) -> None:
    """Check that an act leaves objects, pods and state as they are."""
    uids, pods, state = running.uids(*KEPT, DEPLOYMENT), running.pods(), running.state()
    act()
    assert running.uids(*KEPT, DEPLOYMENT) == uids
    assert running.pods() == pods
    assert running.state() == state
