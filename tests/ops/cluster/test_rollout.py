"""What a deploy believes while it follows its objects, with an API server that answers as told."""

from __future__ import annotations

from typing import Any

import pytest

from llama_swap_config.cluster.gpu_tenants import GpuTenant
from ops.cluster import patience
from ops.cluster.api import Document, KubeApi, UnreachableError
from ops.cluster.causes import Cause
from ops.cluster.object_states import ObjectState
from ops.cluster.rollout import Rollout, follow

GPU = "nvidia.com/gpu"
TENANT = GpuTenant(namespace="immich", name="immich-machine-learning")
NAMESPACE = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "llama-cpp"}}
DEPLOYMENT: Document = {
    "kind": "Deployment",
    "apiVersion": "apps/v1",
    "metadata": {"name": "llama-swap", "namespace": "llama-cpp", "uid": "1", "generation": 1},
    "spec": {"replicas": 1, "template": {"metadata": {}, "spec": {}}},
    "status": {"observedGeneration": 1},
}
REPLICA_SET: Document = {
    "kind": "ReplicaSet",
    "metadata": {"name": "llama-swap-1", "uid": "2", "ownerReferences": [{"uid": "1"}]},
    "spec": {"replicas": 1, "template": {"metadata": {}, "spec": {}}},
    "status": {},
}


def pod(name: str, *, namespace: str, **rest: Any) -> Document:
    made: Document = {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": name,
            "creationTimestamp": "2026-11-29T23:00:00Z",
            "ownerReferences": [{"uid": "2"}],
        },
        "spec": {"containers": [{"name": "c", "resources": {"requests": {GPU: "1"}}}]},
        "status": {},
    }
    return made | rest


WAITING = pod(
    "llama-swap-1-a",
    namespace="llama-cpp",
    status={
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "message": f"0/1 nodes are available: 1 Insufficient {GPU}.",
            }
        ]
    },
)


def holder(name: str, namespace: str, **metadata: Any) -> Document:
    made = pod(name, namespace=namespace)
    made["metadata"] |= metadata
    made["spec"]["nodeName"] = "k8s-node1"
    made["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return made


class Cluster(KubeApi):
    """Answers by a part of the path; a number is a status."""

    def __init__(self, answers: dict[str, list[Document] | int]) -> None:
        self.answers: dict[str, list[Document] | int] = {
            "/events": [],
            "/replicasets": [REPLICA_SET],
            **answers,
        }
        self.failures = 0

    def request(
        self, method: str, path: str, body: Document | None = None
    ) -> tuple[int, Document]:
        if self.failures:
            self.failures -= 1
            return 503, {"message": "apiserver not ready"}
        if "/deployments/" in path:
            return 200, self.answers.get("deployment", DEPLOYMENT)  # type: ignore[return-value]
        if "/namespaces/llama-cpp/pods" in path:
            return 200, {"items": [WAITING]}
        if path.endswith("/namespaces/llama-cpp"):
            return 200, NAMESPACE | {"status": {"phase": "Active"}}
        for part, answer in self.answers.items():
            if part in path:
                if isinstance(answer, int):
                    return answer, {"message": "pods is forbidden"}
                return 200, {"items": answer}
        raise AssertionError(path)

    def text(self, path: str, *, timeout_s: float = 1) -> str:
        return ""

    def now(self) -> float:
        return 1.8e9


def look(answers: dict[str, Any]) -> dict[str, ObjectState]:
    rollout = Rollout(Cluster(answers), (NAMESPACE, DEPLOYMENT), resource=GPU, tenants=(TENANT,))
    return {each.kind: each for each in rollout.look()}


EVERYWHERE, IMMICH = "/api/v1/pods", "/namespaces/immich/pods"
TENANTS_POD = holder("immich-machine-learning-1", "immich")


@pytest.mark.parametrize(
    ("answers", "meaning", "cause"),
    [
        ({EVERYWHERE: [TENANTS_POD]}, "declared", None),
        ({EVERYWHERE: [holder("train", "default")]}, "failed", "node"),
        ({EVERYWHERE: []}, "failed", "node"),
        # An account that may not list all pods, as the one of the nightly drift.
        ({EVERYWHERE: 403, IMMICH: [TENANTS_POD]}, "declared", None),
        ({EVERYWHERE: 403, IMMICH: []}, "waits", None),
        ({EVERYWHERE: 403, IMMICH: 403}, "waits", None),
        (
            {EVERYWHERE: [holder("old", "llama-cpp", deletionTimestamp="2026-11-29T23:00:00Z")]},
            "waits",
            None,
        ),
    ],
    ids=["tenant", "stranger", "nobody", "seen there", "not seen", "refused", "ending"],
)
def test_who_holds_the_card_decides_what_a_wait_for_it_means(
    answers: dict[str, Any], meaning: str, cause: Cause | None
) -> None:
    found = look(answers)
    assert (found["Pod"].meaning, found["Pod"].cause) == (meaning, cause)
    assert found["Deployment"].meaning == ("declared" if meaning == "declared" else "waits")


def test_a_paused_deployment_does_not_wait_as_declared() -> None:
    paused = DEPLOYMENT | {"spec": DEPLOYMENT["spec"] | {"paused": True}}
    found = look({"deployment": paused, EVERYWHERE: [TENANTS_POD]})
    assert (found["Deployment"].meaning, found["Pod"].meaning) == ("stopped", "declared")


def test_an_api_server_that_starts_again_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PATIENCE_S", 0)
    cluster = Cluster({EVERYWHERE: [TENANTS_POD]})
    cluster.failures = 2
    lines: list[str] = []
    rollout = Rollout(cluster, (NAMESPACE, DEPLOYMENT), resource=GPU, tenants=(TENANT,))
    outcome = follow((rollout,), wait_s=20, say=lines.append)
    assert outcome.of("waits", "failed") == ()
    assert lines == ["the API server does not answer (503: apiserver not ready); asking again"]

    cluster.failures = 10
    with pytest.raises(UnreachableError, match="does not answer"):
        follow((rollout,), wait_s=0, say=lines.append)
