"""What the status of an object means, by what a real cluster wrote.

`kubelet/recorded.jsonl` has objects as the API server returned them some seconds after an apply:
Kubernetes 1.36.3 with its kubelet, containerd and runc, only with the fields that the table reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from in_pod.kubernetes.pod_state import pod_state
from ops.cluster import object_states, workload_states
from ops.cluster.api import Document
from ops.cluster.causes import FAILURES, Cause
from ops.cluster.object_states import ObjectState
from ops.cluster.patience import Patience
from ops.cluster.workload_states import owned_by
from tests.conftest import ROOT

_RECORDED = Path(__file__).parent / "kubelet" / "recorded.jsonl"
_READ_AT = datetime.fromisoformat("2026-11-29T23:59:00Z").timestamp()

SERVES = ("good", "job-complete")
WAITS = (*("recreate-restart", "image-slow", "init-runs-long", "readiness-fails"),)
STOPPED = ("job-suspended-running", "deployment-paused", "scaled-to-0")
FAILED: dict[Cause, tuple[str, ...]] = {
    "image": (
        *("image-missing", "image-denied", "image-never-pull", "image-invalid-name"),
        *("init-image-missing", "job-image-missing", "recreate-to-bad-image"),
    ),
    "pull": ("image-timeout",),
    "secret": (
        *("secret-env-missing", "secret-key-missing", "configmap-env-missing"),
        "secret-volume-missing",
    ),
    "start": ("command-not-found", "read-only-root", "startup-fails"),
    "crash": ("crash-message", "oom-killed", "init-fails", "liveness-kills"),
    "quota": (
        *("quota-exceeded", "quota-must-specify", "quota-job", "limitrange-exceeded"),
        "quota-on-second-deploy",
    ),
    "admission": (
        *("runtimeclass-missing", "podsecurity-restricted", "priorityclass-missing"),
        "webhook-refuses",
    ),
    "node": (
        *("runtimeclass-unknown-handler", "unschedulable-selector", "taint-untolerated"),
        *("unschedulable-memory", "gpu-absent", "node-not-ready", "evicted-ephemeral-storage"),
    ),
    "volume": (
        *("local-pv-path-missing", "local-pv-other-node", "nfs-unreachable"),
        *("csi-driver-missing", "pvc-lost", "pv-released", "pvc-unbound-named-volume"),
    ),
    "download": ("job-exit-65", "job-backoff", "job-deadline"),
    "terminating": ("pvc-terminating-in-use", "terminating-finalizer", "deleted-foreground"),
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The objects of one case."""

    objects: tuple[Document, ...]

    def of(self, kind: str) -> list[Document]:
        return [each for each in self.objects if each["kind"] == kind]

    def latest_event(self, document: Document) -> Document:
        uid = document["metadata"]["uid"]
        events = [each for each in self.of("Event") if each["involvedObject"]["uid"] == uid]
        return events[0] if events else {}

    def states(self, now_s: float = _READ_AT) -> Iterator[ObjectState]:
        for volume in self.of("PersistentVolume"):
            yield from object_states.volume(volume)
        for claim in self.of("PersistentVolumeClaim"):
            yield object_states.claim(claim, self.latest_event)
        pods = self.of("Pod")
        for job in self.of("Job"):
            yield from workload_states.job(
                job, owned_by(job, pods), latest_event=self.latest_event, now_s=now_s
            )
        for deployment in self.of("Deployment"):
            yield from workload_states.deployment(
                deployment,
                self.of("ReplicaSet"),
                pods,
                latest_event=self.latest_event,
                now_s=now_s,
            )


CASES = {
    case["case"]: Recorded(tuple(case["objects"]))
    for case in map(json.loads, _RECORDED.read_text().splitlines())
}


def test_every_recorded_case_is_in_a_list_above() -> None:
    listed = [*SERVES, *WAITS, *STOPPED, *(case for cases in FAILED.values() for case in cases)]
    assert sorted(listed) == sorted(CASES.keys() - {"crash-exit-1", "gpu-allocate-fails"})
    assert FAILED.keys() == FAILURES.keys()


@pytest.mark.parametrize("case", SERVES)
def test_what_serves_is_settled(case: str) -> None:
    assert {each.meaning for each in CASES[case].states()} == {"settled"}


@pytest.mark.parametrize(
    ("meaning", "case"),
    [*(("waits", case) for case in WAITS), *(("stopped", case) for case in STOPPED)],
)
def test_what_waits_has_a_reason(meaning: str, case: str) -> None:
    waiting = [each for each in CASES[case].states(now_s=0) if not each.is_settled]
    assert waiting
    assert {each.meaning for each in waiting} == {meaning}
    assert all(each.reason for each in waiting)


def storm_s(case: Recorded) -> float:
    """A moment while the node refused pods."""
    return max(
        datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp()
        for pod in case.of("Pod")
    )


def test_a_node_that_refuses_each_new_pod_is_a_failure_while_it_does() -> None:
    case = CASES["gpu-allocate-fails"]
    deployment, *_ = case.states(storm_s(case))
    assert (deployment.meaning, deployment.cause) == ("failed", "node")
    assert "driver/library version mismatch" in deployment.reason
    # An hour later only the pods that it refused are left.
    later, *_ = case.states(storm_s(case) + 3600)
    assert later.meaning == "waits"


@pytest.mark.parametrize(
    ("cause", "case"), [(cause, case) for cause, cases in FAILED.items() for case in cases]
)
def test_what_failed_has_its_cause(cause: Cause, case: str) -> None:
    failed = [each for each in CASES[case].states() if each.meaning == "failed"]
    assert failed
    # A pod that cannot be scheduled for want of a claim fails with it.
    assert {each.cause for each in failed} == {cause}
    assert all(each.reason for each in failed)


def test_a_program_that_ends_at_once_is_not_ready() -> None:
    """Without a probe the kubelet calls it ready for a second, each time that it starts it."""
    (pod,) = CASES["crash-exit-1"].of("Pod")
    (ready,) = (each for each in pod["status"]["conditions"] if each["type"] == "Ready")
    since_s = datetime.fromisoformat(ready["lastTransitionTime"]).timestamp()
    for after_s, meaning in ((1, "waits"), (4, "settled")):
        deployment, _ = CASES["crash-exit-1"].states(since_s + after_s)
        assert deployment.meaning == meaning


def test_a_terminating_pod_is_never_running() -> None:
    names = set()
    for case in CASES.values():
        terminating = {
            pod["metadata"]["name"]
            for pod in case.of("Pod")
            if "deletionTimestamp" in pod["metadata"]
        }
        for each in case.states():
            if each.name in terminating:
                assert each.state.startswith("Terminating since ")
                names.add(each.name)
    assert len(names) >= 2


def test_the_lines_that_a_person_reads(update_golden: bool) -> None:
    lines = []
    for name, case in CASES.items():
        lines.append(f"{name}:")
        for each in case.states():
            cause = f" ({each.cause})" if each.cause else ""
            reason = f": {each.reason}" if each.reason else ""
            lines.append(f"    {each.kind} {each.state}, {each.meaning}{cause}{reason}")
    text = "".join(f"{line}\n" for line in lines)
    golden = ROOT / "tests" / "golden" / "object-states.txt"
    if update_golden:
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting"),
        ("CreateContainerError", "context deadline exceeded"),
        ("RunContainerError", "driver rpc error: timed out"),
    ],
)
def test_a_start_that_the_kubelet_repeats_is_no_crash(why: str, message: str) -> None:
    waiting = {"reason": why, "message": message}
    status = {"containerStatuses": [{"name": "a", "state": {"waiting": waiting}}]}
    found = pod_state({"metadata": {}, "spec": {}, "status": status})
    assert (found.meaning, found.cause) == ("failed", "start")
    assert Patience().lasting([("Pod", "failed", found.cause)]) == set()


def test_a_pod_whose_node_does_not_answer_is_named() -> None:
    """The node's controller takes the readiness away, and nothing else."""
    entry = {"name": "a", "ready": True, "state": {"running": {}}}
    conditions = [{"type": "Ready", "status": "False"}]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": [entry]}
    found = pod_state({"metadata": {}, "spec": {}, "status": status})
    assert (found.meaning, found.cause) == ("failed", "node")


def test_kinds_that_the_kubelet_does_not_write() -> None:
    def document(kind: str, **rest: Any) -> Document:
        return {"kind": kind, "metadata": {"name": "a"}, "spec": {}} | rest

    remains = "Some resources are remaining: pods. has 1 resource instances"
    terminating = {
        "phase": "Terminating",
        "conditions": [
            {"type": "NamespaceContentRemaining", "status": "True", "message": remains}
        ],
    }
    (namespace,) = object_states.namespace(document("Namespace", status=terminating))
    assert (namespace.cause, namespace.reason) == ("terminating", remains)
    assert not list(object_states.namespace(document("Namespace", status={"phase": "Active"})))
    (cron_job,) = object_states.cron_job(document("CronJob", spec={"suspend": True}))
    assert (cron_job.state, cron_job.meaning) == ("suspended", "settled")
    released = document("PersistentVolume", spec={"claimRef": {"name": "models"}})
    (volume,) = object_states.volume(released | {"status": {"phase": "Released"}})
    assert "kubectl patch pv a --type=json" in volume.reason
