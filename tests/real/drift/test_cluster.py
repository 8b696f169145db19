"""Drift of the cluster's objects, its Jobs and a GPU window."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from ops.cluster.api import Document
from tests.real.drift.system import (
    COMMIT,
    DEPLOYMENT,
    EDITED,
    NAMESPACE,
    WRITER,
    System,
    only_line,
    until,
)

SERVICE = f"/api/v1/namespaces/{NAMESPACE}/services/llama-swap"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


def test_another_image_in_the_deployment_is_drift(system: System) -> None:
    other_image = f"ghcr.io/mostlygeek/llama-swap@sha256:{'ab' * 32}"
    containers = (system.api.get(DEPLOYMENT) or {})["spec"]["template"]["spec"]["containers"]
    containers[0]["image"] = other_image
    system.patch(DEPLOYMENT, {"spec": {"template": {"spec": {"containers": containers}}}})
    try:
        lines = system.lines(sources=("cluster",))
    finally:
        system.restore()
    image = next(line for line in lines if line.startswith("Deployment "))
    assert re.fullmatch(
        rf"Deployment llama-swap: spec\.template\.spec\.containers\[llama-swap\]\.image is "
        rf"\S+@sha256:abababababab in the cluster {EDITED}, \S+@sha256:50c640b15d79 declared "
        rf"{COMMIT}: (the cluster is newer; )?python -m ops deploy restores it, or declare it in "
        r"stacks/production\.py",
        image,
    ), image
    assert all(line.startswith(("Deployment ", "Pod ")) for line in lines)


def test_replicas_are_not_drift(system: System) -> None:
    system.patch(DEPLOYMENT, {"spec": {"replicas": 0}})
    try:
        assert system.lines(sources=("cluster",)) == []
        result = system.drift(url=None, volume=None)
        states = {state.source: (state.state, state.reason) for state in result.sources}
        assert states["server"] == ("not asked", "the Deployment llama-swap has 0 replicas")
        assert result.unreachable == ()
    finally:
        system.restore()


def test_a_missing_service_is_drift(system: System) -> None:
    status, _ = system.api.request("DELETE", SERVICE)
    assert status == 200
    try:
        only_line(
            system.lines(),
            rf"Service llama-swap: is absent in the cluster, declared {COMMIT}: "
            r"python -m ops deploy creates it again",
        )
    finally:
        system.restore()


def test_an_undeclared_object_is_drift(system: System) -> None:
    labels = {
        "app.kubernetes.io/part-of": "llama-cpp",
        "app.kubernetes.io/managed-by": "terraform",
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    body = {"metadata": {"name": "left-over", "labels": labels}, "data": {}}
    status, _ = system.api.request("POST", f"{path}{WRITER}", body)
    assert status == 201
    try:
        only_line(
            system.lines(),
            rf"ConfigMap left-over: is present in the cluster {EDITED}, not declared {COMMIT}: .*"
            r"kubectl .+ -n llama-cpp delete configmap left-over, .*",
        )
    finally:
        system.api.request("DELETE", f"{path}/left-over")


POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"


@pytest.mark.parametrize(
    ("spec", "opens"),
    [
        ({"podSelector": {}, "ingress": [{}]}, True),
        ({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}, True),
        ({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "llama-swap"}},
          "ingress": [{"from": [{"podSelector": {}}]}]}, True),
        ({"podSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
          "ingress": [{}]}, True),
        ({"podSelector": {"matchLabels": {"app": "other"}}, "ingress": [{}]}, False),
        ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, False),
    ],
    ids=["all in", "all out", "ours", "an expression", "another pod", "nothing allowed"],
)  # fmt: skip
def test_a_policy_that_opens_our_pods_is_drift(
    system: System, spec: Document, opens: bool
) -> None:
    body = {"metadata": {"name": "open"}, "spec": spec}
    status, answer = system.api.request("POST", f"{POLICIES}{WRITER}", body)
    assert status == 201, answer
    try:
        lines = system.lines(sources=("cluster",))
    finally:
        system.api.request("DELETE", f"{POLICIES}/open")
    if not opens:
        assert lines == []
        return
    only_line(
        lines,
        rf"NetworkPolicy open: is present in the cluster {EDITED}, not declared {COMMIT}: (the "
        r"cluster is newer; )?it opens the stack's pods beyond their declared clients and "
        r"egress: kubectl .+ -n llama-cpp delete networkpolicy open, or let it select other pods",
    )


def test_a_failed_download_job_is_drift(system: System) -> None:
    name = next(
        manifest["metadata"]["name"]
        for manifest in system.declared.objects
        if manifest["kind"] == "Job"
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = next(manifest for manifest in system.declared.objects if manifest["kind"] == "Job")
    system.api.request("DELETE", f"{JOBS}/{name}?propagationPolicy=Background")
    suspended = {**job, "spec": {**job["spec"], "suspend": True}}
    deadline = time.monotonic() + 20
    while system.api.request("POST", JOBS, suspended)[0] != 201:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    condition = {"status": "True", "lastTransitionTime": now, "reason": "BackoffLimitExceeded"}
    why = {"message": "exit code 28: the volume is full"}
    conditions = [
        {"type": "FailureTarget", **condition, **why},
        {"type": "Failed", **condition, **why},
    ]
    status, document = system.api.request(
        "PATCH",
        f"{JOBS}/{name}/status",
        {"status": {"conditions": conditions, "startTime": now, "failed": 1}},
    )
    assert status == 200, document
    try:
        lines = system.lines(sources=("cluster",))
    finally:
        system.api.request("DELETE", f"{JOBS}/{name}?propagationPolicy=Background")
        deadline = time.monotonic() + 20
        while system.api.get(f"{JOBS}/{name}") is not None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        system.restore()
    # Suspended, so that nothing runs it meanwhile.
    (stopped,) = (line for line in lines if "spec.suspend" in line)
    assert re.fullmatch(
        rf"Job {name}: spec\.suspend is true in the cluster(?: \([^)]+\))?, false declared "
        rf"{COMMIT}: (?:the cluster is newer; )?it is suspended and runs no pod: "
        rf"kubectl .+ -n llama-cpp patch job {name} -p '\{{\"spec\":\{{\"suspend\":false\}}\}}'",
        stopped,
    ), stopped
    only_line(
        [line for line in lines if line != stopped],
        rf"Job {name}: status is Failed: exit code 28: the volume is full in the cluster "
        rf"\([^)]+\), Complete declared {COMMIT}: .*kubectl .+ -n llama-cpp logs "
        rf"job/{name} shows why; .*",
    )


@contextmanager
def lease(system: System, left: timedelta) -> Iterator[None]:
    def text(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    now = datetime.now(UTC)
    record = json.dumps({"deadline": text(now + left), "tenants": []})
    body = {
        "metadata": {
            "name": "gpu-window",
            "annotations": {"llama-cpp-infra/gpu-window": record},
        },
        "spec": {
            "holderIdentity": "ann@laptop",
            "leaseDurationSeconds": 60,
            "acquireTime": text(now),
            "renewTime": text(now),
        },
    }
    status, document = system.api.request("POST", LEASES, body)
    assert status == 201, document
    try:
        yield
    finally:
        system.api.request("DELETE", f"{LEASES}/gpu-window")


def test_a_window_past_its_deadline_is_drift(system: System) -> None:
    with lease(system, timedelta(hours=-2)):
        only_line(
            system.lines(),
            r"Lease gpu-window: window is still open, past its deadline \S+ \S+Z in the cluster "
            r"\(ann@laptop, [^)]+\), closed declared: python -m ops window --restore .*",
        )


def test_an_open_window_is_a_note(system: System) -> None:
    with lease(system, timedelta(minutes=10)):
        result = system.drift()
    assert result.differences == ()
    assert any("a GPU window of ann@laptop is open until " in note for note in result.notes)


TENANT = "/apis/apps/v1/namespaces/immich/deployments/immich-machine-learning"
PODS = "/api/v1/namespaces/default/pods"


@contextmanager
def stranger_on_the_card(system: System) -> Iterator[None]:
    """Let a pod of nobody's have the card, while the tenant asks for it."""
    pod: Document = {
        "metadata": {"name": "stranger"},
        "spec": {
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {"name": "a", "image": "a", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
            ],
        },
    }
    status, answer = system.api.request("POST", PODS, pod)
    assert status == 201, answer
    try:
        until(lambda: (system.api.get(f"{PODS}/stranger") or pod)["spec"].get("nodeName"))
        system.patch(TENANT, {"spec": {"replicas": 1}})
        yield
    finally:
        system.patch(TENANT, {"spec": {"replicas": 0}})
        system.api.request("DELETE", f"{PODS}/stranger")
        until(lambda: system.api.get(f"{PODS}/stranger") is None)
        system.restore()


def test_a_tenant_that_waits_for_the_card_is_drift(system: System) -> None:
    with stranger_on_the_card(system):
        until(lambda: any(line.startswith("Deployment immich/") for line in cluster_lines(system)))
        lines = [line for line in cluster_lines(system) if line.startswith("Deployment immich/")]
        only_line(
            lines,
            rf"Deployment immich/immich-machine-learning: card is waited for by immich-machine-"
            rf"learning-\S+ in the cluster, the tenant's outside a window declared {COMMIT}: "
            r"default/stranger \(Running on k8s-node1\) holds it: end that pod, or declare it in "
            r"sharing",
        )


def cluster_lines(system: System) -> list[str]:
    return system.lines(sources=("cluster",))
