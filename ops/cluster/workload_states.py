"""What the status of a Deployment or a Job means, with its pods."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from in_pod.kubernetes.pod_state import PodCause, PodState, condition, due_s, pod_state
from in_pod.kubernetes.pods import is_observed, replicas_of
from in_pod.kubernetes.times import parse_time
from ops.cluster.api import Document
from ops.cluster.causes import Cause
from ops.cluster.object_states import (
    LatestEvent,
    Meaning,
    ObjectState,
    held_by,
    is_terminating,
    row,
    start_again,
    terminating,
)
from ops.errors import one_line
from ops.report.kubectl import kubectl

_STEADY_S = {False: 3, True: 30}
"""Seconds for which a pod without and with a restart has to be ready: a program that ends at once
is ready for a second each time where no probe asks it."""
_STORM_S, _STORM_PODS = 60, 3
"""A node that refuses this many pods in this many seconds refuses the next one too."""
_OVERDUE_S = 60
"""Seconds past its grace period after which a terminating pod counts as held."""
_QUOTA = re.compile(r"exceeded quota|(maximum|minimum) \S+ usage|failed quota", re.IGNORECASE)
_MISSING = re.compile(r"(secret|configmap) \S+ not found|references non-existent", re.IGNORECASE)
_EVENTS: dict[str, PodCause] = {
    "FailedMount": "volume",
    "FailedAttachVolume": "volume",
    "FailedCreatePodSandBox": "node",
}
"""Reasons of the kubelet's warnings about a pod that has not started."""
_MEANINGS: dict[str, Meaning] = {"ready": "settled", "waits": "waits", "failed": "failed"}
"""Meanings of a pod that neither ends nor has ended."""


def job(
    document: Document, pods: Sequence[Document], *, latest_event: LatestEvent, now_s: float
) -> Iterator[ObjectState]:
    """Read a Job, and its pods that have not ended.

    Args:
        document: The Job.
        pods: Its pods.
        latest_event: Asked for a Job without a pod, and for a pod that has not started.
        now_s: By the API server's clock, in seconds since 1970.
    """
    status = document.get("status") or {}
    if is_terminating(document):
        yield terminating(document)
        return
    if _is_true(document, "Complete"):
        yield row(document, "Complete", "settled")
        return
    for kind in ("Failed", "FailureTarget"):
        if _is_true(document, kind):
            found = row(document, "Failed", "failed", job_failure(document, pods), "download")
            yield replace(found, since=condition(document, kind).get("lastTransitionTime"))
            return
    if document["spec"].get("suspend"):
        reason = f"it is suspended and runs no pod; {start_again(document)}"
        yield row(document, "suspended", "stopped", reason)
        return
    live = [pod for pod in pods if pod_state(pod).meaning != "over"]
    failed = status.get("failed") or 0
    tries = document["spec"].get("backoffLimit", 6) + 1
    so_far = f"; {failed} of {tries} tries failed" if failed else ""
    if live:
        yield row(document, "Active", "waits", f"its pod has not ended yet{so_far}")
        for pod in live:
            found = _pod(pod, latest_event, now_s)
            if found.is_settled:
                container = pod["spec"]["containers"][0]["name"]
                found = replace(found, meaning="waits", reason="it runs", container=container)
            yield found
        return
    refusal = latest_event(document)
    if refusal.get("reason") == "FailedCreate":
        yield _refused(document, "no pod", str(refusal.get("message") or ""))
    else:
        yield row(document, "Active", "waits", f"no pod yet{so_far}")


def job_failure(document: Document, pods: Iterable[Document]) -> str:
    """Say why a Job failed, with the exit code of its last pod."""
    failed = condition(document, "Failed") or condition(document, "FailureTarget")
    message = str(failed.get("message") or failed.get("reason") or "no reason given")
    codes = re.search(r"exit code (\d+)", message)
    if codes:
        # The long message names the pod before its code, and a table cuts it.
        return message if message.startswith(codes[0]) else f"{codes[0]}: {message}"
    ended = [state for state in map(pod_state, pods) if state.meaning == "over" and state.reason]
    return f"{ended[-1].reason}: {message}" if ended else message


def deployment(
    document: Document,
    replica_sets: Sequence[Document],
    pods: Sequence[Document],
    *,
    latest_event: LatestEvent,
    now_s: float,
) -> Iterator[ObjectState]:
    """Read a Deployment and its pods, of which only those of its present template count.

    Args:
        document: The Deployment.
        replica_sets: Those of the namespace.
        pods: Those of the namespace.
        latest_event: Asked for a pod that is scheduled and has not started.
        now_s: By the API server's clock, in seconds since 1970.
    """
    if is_terminating(document):
        yield terminating(document)
        return
    owned = owned_by(document, replica_sets)
    present = [each for each in owned if _template(each) == document["spec"]["template"]]
    wanted = replicas_of(document)
    ours = [pod for each in present for pod in owned_by(each, pods)]
    live = [pod for pod in ours if pod_state(pod).meaning not in ("over", "ending")]
    ready = [pod for pod in live if pod_state(pod).meaning == "ready"]
    state = f"{len(ready)} of {wanted} ready"
    ending = [
        pod for each in owned for pod in owned_by(each, pods) if pod_state(pod).meaning == "ending"
    ]
    if not is_observed(document):
        yield row(document, state, "waits", "the controller has not seen the change yet")
    elif document["spec"].get("paused"):
        reason = f"it is paused, so no change reaches its pods; {start_again(document)}"
        yield row(document, f"paused, {state}", "stopped", reason)
    elif wanted == 0:
        name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
        scale = kubectl(f"scale deployment/{name} --replicas 1", namespace=namespace)
        reason = f"it has 0 replicas, so nothing serves; {scale}"
        yield row(document, "scaled to 0", "stopped", reason)
    elif any(now_s - _ready_since_s(pod) < _steady_s(pod) for pod in ready):
        yield row(document, state, "waits", "its pod has been ready for a moment only")
    elif len(ready) >= wanted:
        yield row(document, state, "settled")
    elif not ready and (refused := _refused_again(ours, now_s)) is not None:
        reason = f"{refused.state}: {refused.reason}"
        yield row(document, state, "failed", reason, refused.cause)
    elif live:
        yield row(document, state, "waits", "its pod is not ready")
    else:
        yield _without_pod(document, state, present, ours, ending)
    for pod in live:
        yield _pod(pod, latest_event, now_s)
    for pod in ending:
        found = _ending_pod(pod, now_s)
        # Beside a pod that serves, nobody has to wait for it.
        serves = len(ready) >= wanted > 0 and found.meaning == "waits"
        yield replace(found, meaning="settled") if serves else found


def _refused_again(pods: Iterable[Document], now_s: float) -> PodState | None:
    """Return the last refusal of a node that refuses each new pod, which is replaced at once."""
    young = [
        pod_state(pod)
        for pod in pods
        if now_s - parse_time(pod["metadata"]["creationTimestamp"]) < _STORM_S
    ]
    refused = [found for found in young if found.meaning == "over" and found.cause == "node"]
    return refused[-1] if len(refused) >= _STORM_PODS else None


def _without_pod(
    document: Document,
    state: str,
    present: Sequence[Document],
    ours: Sequence[Document],
    ending: Sequence[Document],
) -> ObjectState:
    """Say why a Deployment has no live pod of its present template."""
    if ending:
        return row(document, state, "waits", "the pod before it has not ended yet")
    for each in (*present, document):
        failure = condition(each, "ReplicaFailure")
        if failure.get("status") == "True":
            return _refused(document, state, str(failure.get("message") or ""))
    over = [found for found in map(pod_state, ours) if found.cause]
    if over:
        found = over[-1]
        return row(document, state, "failed", f"{found.state}: {found.reason}", found.cause)
    return row(document, state, "waits", "no pod yet")


def _refused(document: Document, state: str, message: str) -> ObjectState:
    """Say which check of the API server refuses the pods of an object."""
    message = message.rpartition("Error creating: ")[2]
    cause: Cause = "quota" if _QUOTA.search(message) else "admission"
    return row(document, state, "failed", message or "no pod can be created", cause)


def _pod(pod: Document, latest_event: LatestEvent, now_s: float) -> ObjectState:
    found = pod_state(pod)
    if found.meaning == "ending":
        return _ending_pod(pod, now_s)
    state = _on_node(pod, found.state)
    if pod["spec"].get("nodeName") and (found.meaning == "waits" or found.cause == "start"):
        # Why a pod has not started, or is not ready, is in no field, only in its events.
        found = _by_event(found, latest_event(pod))
    return ObjectState(
        kind="Pod",
        name=pod["metadata"]["name"],
        state=state,
        meaning=_MEANINGS[found.meaning],
        reason=one_line(found.reason, limit=400),
        cause=found.cause,
        container=found.container,
    )


def _ready_since_s(pod: Document) -> float:
    return parse_time(condition(pod, "Ready")["lastTransitionTime"])


def _steady_s(pod: Document) -> float:
    """Return for how long a pod has to be ready to count, in seconds."""
    containers = pod["status"].get("containerStatuses") or ()
    return _STEADY_S[any(entry.get("restartCount") for entry in containers)]


def _by_event(found: PodState, event: Document) -> PodState:
    # The whole command of a mount stands before what it printed.
    message = re.sub(r"(?s)Mounting command: .*Output: ", "", str(event.get("message") or ""))
    if event.get("type") != "Warning":
        return found
    if event.get("reason") == "Unhealthy":
        return replace(found, reason=f"{found.reason}: {message}")
    cause = _EVENTS.get(event.get("reason") or "")
    if cause is None:
        return found
    if cause == "volume" and _MISSING.search(message):
        cause = "secret"
    return replace(found, meaning="failed", reason=message, cause=cause)


def _ending_pod(pod: Document, now_s: float) -> ObjectState:
    found, metadata = pod_state(pod), pod["metadata"]
    waits = ObjectState(
        kind="Pod",
        name=metadata["name"],
        state=_on_node(pod, found.state),
        meaning="waits",
        reason="it is being deleted",
    )
    if now_s < due_s(metadata) + _OVERDUE_S:
        return waits
    if holder := held_by(metadata):
        return replace(waits, meaning="failed", reason=holder, cause="terminating")
    forget = kubectl(f"delete pod {metadata['name']} --force", namespace=metadata["namespace"])
    reason = (
        f"its grace period is over, and its node does not end it; {forget} forgets it once the "
        "node is known to be off"
    )
    return replace(waits, meaning="failed", reason=reason, cause="node")


def _on_node(pod: Document, state: str) -> str:
    node = pod["spec"].get("nodeName")
    return f"{state} on {node}" if node else state


def _is_true(document: Document, kind: str) -> bool:
    return condition(document, kind).get("status") == "True"


def owned_by(owner: Document, objects: Iterable[Document]) -> list[Document]:
    """Return the objects that a controller made for an object."""
    uid = owner["metadata"]["uid"]
    return [
        each
        for each in objects
        if any(ref["uid"] == uid for ref in each["metadata"].get("ownerReferences") or ())
    ]


def _template(replica_set: Document) -> Document:
    """Return a ReplicaSet's template as its Deployment has it."""
    template = copy.deepcopy(replica_set["spec"]["template"])
    (template["metadata"].get("labels") or {}).pop("pod-template-hash", None)
    found: Document = template
    return found
