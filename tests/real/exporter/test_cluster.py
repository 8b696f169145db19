"""The exporter in a real control plane, with the account that the stack gives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from in_pod.exporter.plan import Plan, PlannedModel
from in_pod.kubernetes.in_cluster import InClusterApi
from in_pod.kubernetes.times import time_text
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import manifests
from tests.in_pod.exporter.running import Running, exporter, write_plan
from tests.real.window.mounted_account import mounted_account, objects_of, pod_environment
from tests.real.window.shared_card import LEASE_PATH, SWAP, Card
from tests.real.window.window_process import ML, NAMESPACE

NAME = "exporter"
LEASES = LEASE_PATH.rpartition("/")[0]
APPS, BATCH = "/apis/apps/v1/namespaces", f"/apis/batch/v1/namespaces/{NAMESPACE}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
TENANT_PATH = f"{APPS}/{ML[0]}/deployments/{ML[1]}"
TENANT = f"{ML[0]}/{ML[1]}"
READS = (PODS, LEASE_PATH, TENANT_PATH, f"{BATCH}/jobs", f"{BATCH}/cronjobs/model-upkeep")


@pytest.fixture
def account(
    cluster: EmbeddedCluster,
    card: Card,
    kube: Cluster,
    production: dict[str, Any],
    tmp_path: Path,
) -> Path:
    """The account that the stack gives the exporter, as the kubelet shows it to the pod."""
    kube.apply(objects_of(manifests(production), NAME))
    return mounted_account(card, cluster, NAME, tmp_path, reads=READS)


@pytest.fixture
def running(
    cluster: EmbeddedCluster, account: Path, free_port: int, tmp_path: Path
) -> Iterator[Running]:
    """The exporter with its account, beside a front end whose pod waits for the card."""
    plan = Plan(
        front_end="llama-swap",
        engine_build=10524,
        config_sha256="0" * 64,
        models=(PlannedModel(id="qwen3vl-4b", aliases=(), vram_mib=4274.0),),
    )
    with exporter(
        write_plan(tmp_path / "plan.json", plan),
        f"http://127.0.0.1:{free_port}",
        *("--namespace", NAMESPACE, "--tenant", f"Deployment/{TENANT}"),
        *("--service-account-dir", str(account)),
        environment=pod_environment(cluster),
    ) as running:
        running.wait_for(lambda now: now.value("llama_swap_cluster_up") == 1)
        yield running


def test_a_pod_that_waits_for_the_card_is_a_state(card: Card, running: Running) -> None:
    state = running.wait_for_state(lambda state: state["endpoint"]["state"] == "waits")
    reason = state["endpoint"]["reason"]
    assert reason.startswith(f"{TENANT} has the card; pod llama-swap-")
    assert "Insufficient nvidia.com/gpu" in reason
    tenant = {"name": TENANT, "kind": "Deployment", "has_card": True, "replicas": 1, "ready": 1}
    assert state["tenants"] == [tenant]
    assert state["window"] == {"open": False, "holder": None, "until": None}
    assert state["vram"] is None
    samples = running.metrics()
    assert samples.value("llama_swap_endpoint_state", state="waits") == 1
    assert samples.value("llama_swap_cluster_up") == 1
    assert samples.value("llama_swap_tenant_ready_replicas", tenant=TENANT) == 1
    assert samples.value("llama_swap_window_open") == 0
    assert samples.value("llama_swap_window_deadline_timestamp_seconds") is None
    # kwok lets every Job complete, after a while.
    running.wait_for(lambda now: now.value("llama_swap_download_state", state="complete") == 1)


def test_a_window_and_who_has_the_card_then_are_told(card: Card, running: Running) -> None:
    deadline = card.api.now() + 600
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "gpu-window",
            "annotations": {
                "llama-cpp-infra/gpu-window": f'{{"deadline": "{time_text(deadline)}", '
                '"tenants": [], "queues": []}'
            },
        },
        "spec": {"holderIdentity": "me@laptop/1234", "renewTime": time_text(card.api.now())},
    }
    status, answer = card.api.request("POST", LEASES, lease)
    assert status == 201, answer
    card.scale(ML, 0)
    card.until(lambda: card.ready(SWAP) == 1)
    # The pod is ready, but nothing listens where the exporter asks.
    state = running.wait_for_state(lambda state: state["endpoint"]["state"] == "unknown")
    assert "is ready, but its front end: " in state["endpoint"]["reason"]
    state = running.wait_for_state(lambda state: state["tenants"][0]["has_card"] is False)
    assert state["tenants"][0]["replicas"] == 0
    assert state["window"]["open"] is True
    assert state["window"]["holder"] == "me@laptop/1234"
    assert state["window"]["until"] == pytest.approx(deadline, abs=0.01)
    samples = running.metrics()
    name = "llama_swap_window_deadline_timestamp_seconds"
    assert samples.value(name) == pytest.approx(deadline, abs=0.01)


def test_a_stopped_endpoint_is_told(card: Card, running: Running) -> None:
    card.scale(SWAP, 0)
    state = running.wait_for_state(lambda state: state["endpoint"]["state"] == "stopped")
    assert state["endpoint"]["reason"] == "the endpoint has no pod"
    assert state["endpoint"]["since"] is not None


REFUSED: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "change the lease": ("PUT", LEASE_PATH, {}),
    "make a lease": ("POST", LEASES, {"metadata": {"name": "gpu-window"}}),
    "list leases": ("GET", LEASES, None),
    "scale the endpoint": ("PATCH", f"{APPS}/{NAMESPACE}/deployments/llama-swap/scale", {}),
    "read the endpoint": ("GET", f"{APPS}/{NAMESPACE}/deployments/llama-swap", None),
    "scale the tenant": ("PATCH", f"{TENANT_PATH}/scale", {"spec": {"replicas": 0}}),
    "read another tenant": ("GET", f"{APPS}/{ML[0]}/deployments/immich-server", None),
    "list a tenant's pods": ("GET", f"/api/v1/namespaces/{ML[0]}/pods", None),
    "delete a pod": ("DELETE", f"{PODS}/any", None),
    "read a log": ("GET", f"{PODS}/any/log", None),
    "exec": ("POST", f"{PODS}/any/exec?command=id", None),
    "make a job": ("POST", f"{BATCH}/jobs", {"metadata": {"name": "any"}}),
    "change the schedule": ("PATCH", f"{BATCH}/cronjobs/model-upkeep", {"spec": {}}),
    "read another schedule": ("GET", f"{BATCH}/cronjobs/gpu-window-restore", None),
    "list secrets": ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets", None),
    "read the key": ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets/llama-swap-keys", None),
    "list config maps": ("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps", None),
    "list nodes": ("GET", "/api/v1/nodes", None),
    "list all pods": ("GET", "/api/v1/pods", None),
}


def test_the_account_is_refused_everything_else(cluster: EmbeddedCluster, account: Path) -> None:
    environment = pod_environment(cluster)
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    api = InClusterApi(service_account_dir=account, url=f"https://{host}:{port}")
    for name, (method, path, body) in REFUSED.items():
        status, answer = api.request(method, path, body)
        assert status == 403, (name, answer)
