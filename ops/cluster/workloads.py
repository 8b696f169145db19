"""List a namespace's workloads with what they wait for, and apply objects without Terraform."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ops.cluster.api import DECODING, connect
from ops.errors import OpsError, one_line, reason_of

if TYPE_CHECKING:
    from ops.cluster.environment import KubeTarget
    from ops.terraform.manifests import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One pod, Job, ReplicaSet or volume claim, as the operator reads it."""

    kind: str
    name: str
    state: str
    """`Running on k8s-node1`, `Pending`, `Complete`, ..."""
    reason: str = ""
    """What it waits for; empty when it is settled."""

    @property
    def settled(self) -> bool:
        """Whether it waits for nothing."""
        return not self.reason


class Cluster:
    """A connection to one API server with lightkube's types.

    Each request holds DECODING until its answer is decoded, so threads wait for each other. Use
    `ops.cluster.api.KubeApi` for concurrent requests.
    """

    def __init__(self, target: KubeTarget) -> None:
        """Read the kubeconfig; connect with the first request.

        Raises:
            OpsError: when the kubeconfig cannot be used.
        """
        import httpx2
        import lightkube
        from lightkube.core.exceptions import ApiError

        self._refusals = (ApiError, httpx2.HTTPError)
        self._client = connect(
            target,
            lambda config: lightkube.Client(
                config=config,
                field_manager="llama-cpp-infra",
                timeout=httpx2.Timeout(10, connect=5),
                trust_env=False,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def apply(self, manifests: Iterable[Manifest]) -> None:
        """Apply objects server-side, in their order.

        Raises:
            OpsError: naming the object that the API server refuses and the reason.
        """
        from lightkube.codecs import from_dict

        for manifest in manifests:
            name = f"{manifest['kind']} {manifest['metadata']['name']}"
            try:
                with DECODING:
                    self._client.apply(from_dict(manifest), force=True)
            except self._refusals as error:
                raise OpsError(f"the API server refuses {name} ({reason_of(error)})") from error

    def workloads(self, namespace: str) -> tuple[Workload, ...]:
        """Return a namespace's workloads, each with what it waits for.

        Raises:
            OpsError: when the API server does not answer.
        """
        from lightkube.resources.apps_v1 import ReplicaSet
        from lightkube.resources.batch_v1 import Job
        from lightkube.resources.core_v1 import Event, PersistentVolumeClaim, Pod

        try:
            with DECODING:
                claims = list(self._client.list(PersistentVolumeClaim, namespace=namespace))
                pods = list(self._client.list(Pod, namespace=namespace))
                jobs = list(self._client.list(Job, namespace=namespace))
                sets = list(self._client.list(ReplicaSet, namespace=namespace))
                events = list(self._client.list(Event, namespace=namespace))
        except self._refusals as error:
            raise OpsError(f"the API server does not answer ({reason_of(error)})") from error
        workloads = [*map(_claim, claims), *map(_pod, pods), *map(_job, jobs)]
        scaled_up = {
            replica_set.metadata.name
            for replica_set in sets
            if replica_set.metadata and replica_set.spec and replica_set.spec.replicas
        }
        with_pods = {
            owner.name
            for pod in pods
            for owner in (pod.metadata and pod.metadata.ownerReferences) or ()
        }
        for name in sorted(set(filter(None, scaled_up)) - with_pods):
            refusals = [
                event.message or ""
                for event in events
                if event.reason == "FailedCreate" and event.involvedObject.name == name
            ]
            reason = refusals[-1] if refusals else "no pod yet"
            workloads.append(
                Workload(kind="ReplicaSet", name=name, state="no pod", reason=one_line(reason))
            )
        return tuple(workloads)

    def wait_until_settled(
        self,
        namespace: str,
        *,
        timeout_s: float,
        may_wait: Callable[[Workload], bool] = lambda _: False,
        say: Callable[[str], None],
    ) -> tuple[Workload, ...]:
        """Wait until all workloads of a namespace are settled, or the time is up.

        Args:
            namespace: The namespace.
            timeout_s: The longest wait in seconds.
            may_wait: Whether an unsettled workload is not waited for (default: none).
            say: Receives a line with the unsettled workloads whenever they change.

        Returns:
            The workloads at the end, settled or not.
        """
        deadline = time.monotonic() + timeout_s
        last_line = ""
        while True:
            workloads = self.workloads(namespace)
            kinds = {workload.kind for workload in workloads}
            waiting = [
                workload
                for workload in workloads
                if not workload.settled and not may_wait(workload)
            ]
            if {"Pod", "Job"} <= kinds and not waiting:
                return workloads
            if time.monotonic() > deadline:
                return workloads
            names = (f"{workload.kind} {workload.name}" for workload in waiting)
            line = ", ".join(names) or "the pods"
            if line != last_line:
                say(f"waiting for {line}")
                last_line = line
            time.sleep(0.25)


def _claim(claim: Any) -> Workload:
    phase = claim.status.phase or "Pending"
    reason = "" if phase == "Bound" else "no volume is bound"
    state = f"Bound to {claim.spec.volumeName}" if phase == "Bound" else phase
    return Workload(
        kind="PersistentVolumeClaim", name=claim.metadata.name, state=state, reason=reason
    )


def _job(job: Any) -> Workload:
    conditions = {
        condition.type: condition
        for condition in job.status.conditions or ()
        if condition.status == "True"
    }
    name = job.metadata.name
    if "Complete" in conditions:
        return Workload(kind="Job", name=name, state="Complete")
    if "Failed" in conditions:
        message = conditions["Failed"].message or "failed"
        return Workload(kind="Job", name=name, state="Failed", reason=one_line(message))
    failed = job.status.failed or 0
    reason = "not finished" + (f", {failed} pods failed so far" if failed else "")
    return Workload(kind="Job", name=name, state="Active", reason=reason)


def _pod(pod: Any) -> Workload:
    phase = pod.status.phase or "Pending"
    node = pod.spec.nodeName
    state = f"{phase} on {node}" if node else phase
    conditions = {condition.type: condition for condition in pod.status.conditions or ()}
    reason = ""
    if phase == "Pending":
        scheduled = conditions.get("PodScheduled")
        reason = (scheduled and scheduled.status != "True" and scheduled.message) or ""
        reason = reason or _container_reason(pod) or "starting"
    elif phase == "Running":
        ready = conditions.get("Ready")
        if ready is None or ready.status != "True":
            reason = _container_reason(pod) or "not ready"
    elif phase == "Failed":
        reason = _container_reason(pod) or pod.status.message or "failed"
    return Workload(kind="Pod", name=pod.metadata.name, state=state, reason=one_line(reason))


def _container_reason(pod: Any) -> str:
    for status in pod.status.initContainerStatuses or ():
        if status.state and status.state.running:
            return f"{status.name} runs; its log shows what it waits for"
    statuses = [*(pod.status.initContainerStatuses or ()), *(pod.status.containerStatuses or ())]
    for status in statuses:
        waiting = status.state and status.state.waiting
        if waiting and waiting.reason:
            return f"{status.name}: {waiting.reason} {waiting.message or ''}".strip()
        ended = status.state and status.state.terminated
        if ended and ended.exitCode:
            return f"{status.name}: exit code {ended.exitCode}"
    return ""
