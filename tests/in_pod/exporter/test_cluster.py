"""What the cluster's objects mean for the endpoint, its window and its volume."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from in_pod.exporter.cluster import ClusterError, ClusterReader, View
from in_pod.exporter.endpoint_state import endpoint_state
from in_pod.gpu_window.contract import ANNOTATION
from in_pod.kubernetes.times import time_text
from in_pod.kubernetes.workload import Workload

Json = dict[str, Any]

NOW = 2_000_000_000.0
TENANT = Workload(kind="Deployment", namespace="immich", name="machine-learning")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/llama-cpp/leases/gpu-window"
PODS = "/api/v1/namespaces/llama-cpp/pods"
JOBS = "/apis/batch/v1/namespaces/llama-cpp/jobs"
CRON_JOB = "/apis/batch/v1/namespaces/llama-cpp/cronjobs/model-upkeep"
REFUSED = "GET /api/version: connection refused"


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class FakeApi:
    """Objects by path; a list's path ends with the component that its selector names."""

    def __init__(self, **objects: Any) -> None:
        self.objects: dict[str, Any] = {
            f"{PODS} llama-swap": {"items": []},
            f"{JOBS} model-download": {"items": []},
            f"{JOBS} model-upkeep": {"items": []},
        }
        self.asked: list[str] = []

    def request(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        assert method == "GET"
        path, _, query = path.partition("?")
        self.asked.append(path)
        if query:
            assert query.startswith("labelSelector=app.kubernetes.io%2Fname%3D"), query
            assert query.endswith("&limit=50")
            path = f"{path} {query.removesuffix('&limit=50').rpartition('%3D')[2]}"
        found = self.objects.get(path)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, int):
            return found, {"message": "as the test wants it"}
        return (404, {}) if found is None else (200, found)

    def now(self) -> float:
        return NOW


def pod(name: str, *, created_s: float = 0, ending: bool = False, **status: Any) -> Json:
    metadata = {"name": name, "creationTimestamp": moment(created_s)}
    if ending:
        metadata["deletionTimestamp"] = moment(30)
    return {"metadata": metadata, "spec": {}, "status": status}


def unscheduled(message: str, **more: Any) -> Json:
    scheduled = {"type": "PodScheduled", "status": "False", "message": message}
    return pod("new", phase="Pending", conditions=[scheduled], **more)


READY = [{"type": "Ready", "status": "True"}]
NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
WARMING: Json = {
    "phase": "Pending",
    "initContainerStatuses": [{"name": "warm-up", "ready": False, "state": {"running": {}}}],
}
CRASHING: Json = {
    "phase": "Running",
    "containerStatuses": [
        {
            "name": "llama-swap",
            "ready": False,
            "restartCount": 7,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        }
    ],
}


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def reader(api: FakeApi) -> ClusterReader:
    return ClusterReader(api, namespace="llama-cpp", tenants=(TENANT,))


def tenant(replicas: int, ready: int) -> Json:
    status = {"readyReplicas": ready} if ready else {}
    return {"metadata": {}, "spec": {"replicas": replicas}, "status": status}


def told(view: View | None, *, front_end: str = REFUSED, cluster: str = "") -> tuple[str, str]:
    found = endpoint_state(view, front_end_reason=front_end, cluster_reason=cluster)
    return found.state, found.reason


@pytest.mark.parametrize(
    ("pods", "has_tenant", "state", "reason"),
    [
        pytest.param([], False, "stopped", "the endpoint has no pod", id="no pod"),
        pytest.param(
            [unscheduled(NO_GPU)], True, "waits",
            "immich/machine-learning has the card; pod new: not scheduled: 0/1 nodes are "
            "available: 1 Insufficient nvidia.com/gpu.", id="the tenant has the card",
        ),
        pytest.param(
            [unscheduled(NO_GPU)], False, "waits",
            "pod new: not scheduled: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
            id="somebody has the card",
        ),
        pytest.param(
            [unscheduled("0/1 nodes are available: 1 node(s) didn't match Pod's node selector.")],
            False, "failed", "pod new: not scheduled: 0/1 nodes are available: 1 node(s) didn't "
            "match Pod's node selector.", id="no node has the labels",
        ),
        pytest.param(
            [unscheduled("1 node(s) had volume node affinity conflict")], True, "failed",
            "pod new: not scheduled: 1 node(s) had volume node affinity conflict",
            id="the volume is elsewhere",
        ),
        pytest.param(
            [pod("new", **WARMING)], False, "warming", "pod new: warm-up runs", id="warm-up"
        ),
        pytest.param(
            [pod("new", **CRASHING)], False, "failed",
            "pod new: llama-swap: CrashLoopBackOff: it ends again and again (7 restarts)",
            id="crash",
        ),
        pytest.param(
            [pod("new", phase="Running", conditions=READY)], False, "unknown",
            f"pod new is ready, but its front end: {REFUSED}", id="ready, and silent",
        ),
        pytest.param(
            [pod("old", ending=True, phase="Running", conditions=READY)], False, "stopped",
            "pod old: Terminating since 03:33:50 UTC", id="ending",
        ),
        pytest.param(
            [
                pod("old", ending=True, phase="Running", conditions=READY),
                unscheduled(NO_GPU, created_s=5),
                pod("over", created_s=9, phase="Failed", reason="Evicted"),
            ],
            True, "waits", "immich/machine-learning has the card; pod new: not scheduled: 0/1 "
            "nodes are available: 1 Insufficient nvidia.com/gpu.", id="the new one counts",
        ),
    ],
)  # fmt: skip
def test_the_endpoints_state_follows_from_its_pod(
    pods: list[Json],
    has_tenant: bool,
    state: str,
    reason: str,
    api: FakeApi,
    reader: ClusterReader,
) -> None:
    api.objects[f"{PODS} llama-swap"] = {"items": pods}
    api.objects[TENANT.path] = tenant(1, int(has_tenant))
    assert told(reader.read()) == (state, reason)


def test_a_front_end_that_answers_serves_whatever_the_cluster_says(
    reader: ClusterReader,
) -> None:
    assert told(reader.read(), front_end="") == ("serves", "")
    assert told(None, front_end="", cluster="the API server does not answer") == ("serves", "")


def test_without_a_cluster_only_a_refused_connection_means_stopped() -> None:
    assert told(None) == ("stopped", REFUSED)
    silent = "GET /api/version: timed out"
    assert told(None, front_end=silent) == ("unknown", silent)


def test_an_api_server_that_does_not_answer_leaves_the_state_unknown() -> None:
    assert told(None, cluster="the API server does not answer: timed out") == (
        "unknown",
        "the API server does not answer: timed out",
    )


def lease(
    *, holder: str | None = "me@laptop/1", deadline_s: float = 600, record: str = ""
) -> Json:
    text = f'{{"deadline": "{time_text(NOW + deadline_s)}", "tenants": [], "queues": []}}'
    return {
        "metadata": {"annotations": {ANNOTATION: record or text}},
        "spec": {"holderIdentity": holder, "renewTime": time_text(NOW)},
    }


def test_an_open_window_has_a_holder_and_a_deadline(api: FakeApi, reader: ClusterReader) -> None:
    assert reader.read().window is None
    api.objects[LEASE] = lease()
    window = reader.read().window
    assert window is not None
    assert (window.holder, window.until) == ("me@laptop/1", NOW + 600)
    api.objects[LEASE] = lease(holder=None, deadline_s=-5)
    window = reader.read().window
    assert window is not None
    assert (window.holder, window.until) == ("", NOW - 5)


def test_a_damaged_record_is_an_open_window_without_a_deadline(
    api: FakeApi, reader: ClusterReader
) -> None:
    api.objects[LEASE] = lease(record="nonsense")
    window = reader.read().window
    assert window is not None
    assert window.until is None


def job(created_s: float, *conditions: str) -> Json:
    return {
        "metadata": {"creationTimestamp": moment(created_s)},
        "status": {"conditions": [{"type": kind, "status": "True"} for kind in conditions]},
    }


@pytest.mark.parametrize(
    ("jobs", "state"),
    [
        ([], "none"),
        ([job(0)], "running"),
        ([job(0, "SuccessCriteriaMet", "Complete")], "complete"),
        ([job(0, "FailureTarget", "Failed")], "failed"),
        ([job(9, "Failed"), job(0, "Complete")], "failed"),
        ([job(0, "Failed"), job(9, "Complete")], "complete"),
    ],
)
def test_the_newest_job_tells_the_volumes_state(
    jobs: list[Json], state: str, api: FakeApi, reader: ClusterReader
) -> None:
    api.objects[f"{JOBS} model-download"] = {"items": jobs}
    assert reader.read().volume.download == state
    assert reader.read().volume.verification == "none"


def test_the_last_verification_is_remembered_when_its_job_is_gone(
    api: FakeApi, reader: ClusterReader
) -> None:
    assert reader.read().volume.verified is None
    api.objects[CRON_JOB] = {"status": {"lastSuccessfulTime": moment(-3600)}}
    assert reader.read().volume.verified == NOW - 3600


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        (f"{PODS} llama-swap", 403, "the API server refuses GET "),
        (f"{PODS} llama-swap", 500, "the API server refuses GET "),
        (LEASE, ConnectionError("timed out"), "the API server does not answer: timed out"),
        (f"{PODS} llama-swap", {"items": [{}]}, "the API server's answer is invalid: "),
        (f"{PODS} llama-swap", {}, "the API server's answer is invalid: "),
        (f"{PODS} llama-swap", {"items": 7}, "the API server's answer is invalid: "),
        (TENANT.path, {"metadata": {}}, "the API server's answer is invalid: "),
        (CRON_JOB, {"status": {"lastSuccessfulTime": "soon"}}, "the API server's answer is "),
    ],
)
def test_an_answer_that_cannot_be_used_is_one_line(
    path: str, answer: Any, expected: str, api: FakeApi, reader: ClusterReader
) -> None:
    api.objects[path] = answer
    with pytest.raises(ClusterError) as caught:
        reader.read()
    text = str(caught.value)
    assert text.startswith(expected)
    assert "\n" not in text
