"""What follows an apply: it serves, waits for what is declared, or has failed, and says which.

API server, controllers and scheduler are real. kwok plays the kubelet; where a test needs one that
fails, kwok stops and the test writes the status that a real kubelet wrote.
"""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ops.cluster import patience
from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.object_states import ObjectState
from ops.cluster.rollout import Outcome, follow
from ops.cluster.server_side_apply import Cluster
from ops.commands.deploy.ending import NotServingError, last_line
from ops.embedded.cluster import EmbeddedCluster
from ops.machine.processes import Processes
from ops.terraform.manifests import Manifest, manifests
from tests.real.settled import rollout, until_settled
from tests.real.window.shared_card import Card
from tests.real.window.window_process import ML

NAMESPACE = "/api/v1/namespaces/llama-cpp"
DEPLOYMENT = "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The stack in the cluster, to be changed by a test."""

    api: KubeApi
    kube: Cluster
    objects: tuple[Manifest, ...]

    def changed(self, change: Callable[[Document], None]) -> tuple[Manifest, ...]:
        """Apply another pod template, which restarts the pod."""
        objects = copy.deepcopy(self.objects)
        template = objects[-1]["spec"]["template"]
        template["metadata"]["annotations"]["changed"] = str(time.time_ns())
        change(template["spec"])
        self.kube.apply(objects)
        return objects

    def follow(self, wait_s: float = 20) -> Outcome:
        return follow((rollout(self.api, self.objects),), wait_s=wait_s, say=print)

    def failure(self) -> ObjectState:
        failed = self.follow().failed
        assert failed
        return failed[0]

    def pods(self) -> list[Document]:
        query = "labelSelector=app.kubernetes.io/name=llama-swap"
        items: list[Document] = (self.api.get(f"{NAMESPACE}/pods?{query}") or {})["items"]
        return items

    def request(self, method: str, path: str, body: Any = None) -> None:
        status, answer = self.api.request(method, path, body)
        assert status < 300, answer


@pytest.fixture(scope="module")
def applied(
    cluster: EmbeddedCluster, kube: Cluster, synth: Callable[..., dict[str, Any]]
) -> Iterator[Stack]:
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as api:
        objects = manifests(synth())
        kube.apply(objects)
        until_settled(api, objects)
        yield Stack(api=api, kube=kube, objects=objects)


@pytest.fixture
def stack(applied: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The stack, which serves again after each test."""
    monkeypatch.setattr(patience, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(patience, "_PATIENCE_OF", {})
    yield applied
    applied.kube.apply(applied.objects)
    until_settled(applied.api, applied.objects)


@contextmanager
def kubelet_off(cluster: EmbeddedCluster) -> Iterator[None]:
    """Stop kwok, so that a test may play the kubelet itself."""
    pid = Processes(cluster.state_dir).pid("kwok")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def as_it_was(_spec: Document) -> None:
    """Change nothing but the annotation."""


def test_a_restart_is_followed_to_the_new_pod(stack: Stack, cluster: EmbeddedCluster) -> None:
    """The old pod is ready until its controller ends it, and then Terminating for a while."""
    (old,) = stack.pods()
    with kubelet_off(cluster):
        stack.changed(as_it_was)
        outcome = stack.follow(wait_s=2)
        with pytest.raises(NotServingError, match="after 2s the endpoint does not serve yet") as e:
            last_line(outcome, wait_s=2)
        assert e.value.exit_code == 4
        waiting = {
            each.kind: each
            for each in outcome.of("waits", "failed")
            if each.name.startswith("llama-swap")
        }
        pod = waiting["Pod"]
        assert pod.name == old["metadata"]["name"]
        assert pod.state.startswith("Terminating since ")
        assert waiting["Deployment"].reason == "the pod before it has not ended yet"
    outcome = stack.follow()
    assert last_line(outcome, wait_s=20) == "deployed; the endpoint serves"
    (new,) = (
        each
        for each in outcome.objects
        if each.kind == "Pod" and each.name.startswith("llama-swap")
    )
    assert new.name != old["metadata"]["name"]
    assert new.state == "Running on k8s-node1"


def test_a_quota_that_refuses_the_pod_is_named(stack: Stack) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"requests.memory": "1Mi"}}}
    stack.request("POST", f"{NAMESPACE}/resourcequotas", quota)
    try:
        stack.changed(as_it_was)
        failed = stack.failure()
        assert (failed.kind, failed.cause) == ("Deployment", "quota")
        assert "exceeded quota: none, requested: requests.memory=" in failed.reason
    finally:
        stack.request("DELETE", f"{NAMESPACE}/resourcequotas/none")


def test_an_admission_policy_that_refuses_the_pod_is_named(stack: Stack) -> None:
    stack.changed(lambda spec: spec.update(runtimeClassName="absent"))
    failed = stack.failure()
    assert (failed.kind, failed.cause) == ("Deployment", "admission")
    assert 'RuntimeClass "absent" not found' in failed.reason


def test_a_selector_that_fits_no_node_is_named(stack: Stack) -> None:
    stack.changed(lambda spec: spec["nodeSelector"].update(disk="none"))
    failed = stack.failure()
    assert (failed.kind, failed.cause) == ("Pod", "node")
    assert "didn't match Pod's node affinity/selector" in failed.reason
    outcome = stack.follow()
    with pytest.raises(NotServingError, match="or go back: `git revert` the change") as caught:
        last_line(outcome, wait_s=20)
    assert caught.value.exit_code == 15


def test_a_tenant_that_has_the_card_is_a_declared_wait(stack: Stack) -> None:
    card = Card(stack.api)
    card.scale(ML, 1)
    try:
        card.until(lambda: card.ready(ML) == 1)
        outcome = stack.follow()
        assert outcome.of("waits", "failed") == ()
        line = last_line(outcome, wait_s=20)
        assert line.startswith("deployed; the endpoint waits, as declared: Pod llama-swap-")
        assert "Insufficient nvidia.com/gpu" in line
        assert "immich/immich-machine-learning-" in line
    finally:
        card.scale(ML, 0)


def test_a_stranger_that_has_the_card_is_a_failure(stack: Stack) -> None:
    """Nobody declared it, so nobody knows when it ends."""
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    stranger = {
        "metadata": {"name": "stranger"},
        "spec": {
            "containers": [{"name": "train", "image": "train", "resources": resources}],
            "tolerations": [{"operator": "Exists"}],
        },
    }
    stack.request("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 0}})
    stack.request("POST", "/api/v1/namespaces/default/pods", stranger)
    try:
        Card(stack.api).until(
            lambda: (stack.api.get("/api/v1/namespaces/default/pods/stranger") or {})["spec"].get(
                "nodeName"
            )
        )
        stack.request("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 1}})
        failed = stack.failure()
        assert failed.cause == "node"
        assert "default/stranger (Running on k8s-node1) holds the card" in failed.reason
    finally:
        stack.request("DELETE", "/api/v1/namespaces/default/pods/stranger")


@pytest.mark.parametrize(
    ("why", "message", "cause", "exit_code"),
    [
        ("ErrImagePull", "manifest unknown", "image", 10),
        ("CreateContainerConfigError", 'secret "llama-swap-keys" not found', "secret", 11),
        ("CrashLoopBackOff", "back-off 10s restarting failed container", "crash", 12),
    ],
)
def test_what_the_kubelet_refuses_is_named(
    stack: Stack, cluster: EmbeddedCluster, why: str, message: str, cause: str, exit_code: int
) -> None:
    with kubelet_off(cluster):
        card = Card(stack.api)
        stack.changed(as_it_was)
        card.until(lambda: all("deletionTimestamp" in pod["metadata"] for pod in stack.pods()))
        (old,) = stack.pods()
        at_once = {"gracePeriodSeconds": 0}
        stack.request("DELETE", f"{NAMESPACE}/pods/{old['metadata']['name']}", at_once)
        card.until(lambda: any(pod["spec"].get("nodeName") for pod in stack.pods()))
        (pod,) = stack.pods()
        waiting = {"reason": why, "message": message}
        entry = {"name": "llama-swap", "ready": False, "image": "", "imageID": ""}
        entry |= {"restartCount": 2, "state": {"waiting": waiting}}
        status = {"status": {"phase": "Pending", "containerStatuses": [entry]}}
        stack.request("PATCH", f"{NAMESPACE}/pods/{pod['metadata']['name']}/status", status)

        outcome = stack.follow()

        with pytest.raises(NotServingError, match=f"{why}: ") as caught:
            last_line(outcome, wait_s=20)
        assert outcome.failed[0].cause == cause
        assert caught.value.exit_code == exit_code
        # kwok gives an address only to pods that have none yet.
        stack.request("DELETE", f"{NAMESPACE}/pods/{pod['metadata']['name']}", at_once)


@pytest.mark.parametrize(
    ("spec", "state", "reason"),
    [
        (
            {"replicas": 0},
            "scaled to 0",
            "it has 0 replicas, so nothing serves; "
            "kubectl -n llama-cpp scale deployment/llama-swap --replicas 1",
        ),
        (
            {"paused": True},
            "paused, 1 of 1 ready",
            "it is paused, so no change reaches its pods; "
            "kubectl -n llama-cpp rollout resume deployment/llama-swap",
        ),
    ],
)
def test_a_deployment_that_somebody_stopped_does_not_serve(
    stack: Stack, spec: Document, state: str, reason: str
) -> None:
    stack.request("PATCH", DEPLOYMENT, {"spec": spec})
    try:
        outcome = stack.follow()
        (found,) = outcome.of("stopped")
        assert (found.state, found.reason) == (state, reason)
        with pytest.raises(NotServingError, match="deployed, but somebody stopped it: ") as e:
            last_line(outcome, wait_s=20)
        assert e.value.exit_code == 4
    finally:
        stack.request("PATCH", DEPLOYMENT, {"spec": {"paused": None, "replicas": 1}})


def test_a_claim_whose_volume_is_gone_is_named(stack: Stack) -> None:
    volume = "/api/v1/persistentvolumes/llama-cpp-models"
    claim = f"{NAMESPACE}/persistentvolumeclaims/models"
    stack.request("DELETE", volume)
    failed = stack.failure()
    assert (failed.kind, failed.cause) == ("PersistentVolume", "terminating")
    assert "kubernetes.io/pv-protection" in failed.reason
    stack.request("PATCH", volume, {"metadata": {"finalizers": None}})
    Card(stack.api).until(lambda: (stack.api.get(claim) or {})["status"]["phase"] == "Lost")
    states = [(each.kind, each.cause) for each in stack.follow().failed]
    assert ("PersistentVolumeClaim", "volume") in states
    # A lost claim is never bound again.
    stack.request("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 0}})
    stack.request("DELETE", claim)
    stack.request("PATCH", claim, {"metadata": {"finalizers": None}})
    Card(stack.api).until(lambda: stack.api.get(claim) is None)
