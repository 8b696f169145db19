"""What a pod's status means: the one table for a window, a deploy and drift."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from .api import Document
from .times import parse_time

Meaning = Literal["ready", "waits", "failed", "ending", "over"]
"""`failed`: it stays so until somebody acts. `ending`: it is being deleted. `over`: it runs no
container any more, and its owner replaces it."""
PodCause = Literal["image", "pull", "secret", "start", "crash", "node", "volume"]
"""`pull` and `start`: the node could not do it, and another try may succeed."""

TERMINATING = "Terminating"
"""How the state of a pod that is being deleted begins."""
_WAITING: dict[str, PodCause] = {
    "ErrImagePull": "image",
    "ImagePullBackOff": "image",
    "InvalidImageName": "image",
    "ErrImageNeverPull": "image",
    "ImageInspectError": "image",
    "RegistryUnavailable": "image",
    "SignatureValidationFailed": "image",
    "CreateContainerConfigError": "secret",
    "CreateContainerError": "start",
    "RunContainerError": "start",
    "PostStartHookError": "start",
    "CrashLoopBackOff": "crash",
}
"""Reasons of a waiting container, as the kubelet writes them (pkg/kubelet/images/types.go and
kuberuntime/kuberuntime_container.go), of which none goes away by waiting."""
_MAY_BE_PULLED = re.compile(
    r"\b429\b|\b5\d\d\b|time-?out|deadline|refused|reset|no such host|lookup|EOF", re.IGNORECASE
)
"""What a registry that cannot be reached, or has too much to do, looks like in a message."""
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")
_VOLUME = re.compile(r"persistent ?volume|volume node affinity", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """A pod's state in words, and what it means."""

    state: str
    """`Running`, `Pending`, `Terminating since 12:00:01 UTC`, `Evicted`, ..."""
    meaning: Meaning
    reason: str = ""
    """Why it is not ready."""
    cause: PodCause | None = None
    """What has failed; None if nothing has."""
    container: str = ""
    """The container that is not ready; its log may say more."""


def condition(resource: Document, kind: str) -> Document:
    """Find a condition of an object; empty if there is none of that kind."""
    conditions = (resource.get("status") or {}).get("conditions") or ()
    return next((entry for entry in conditions if entry["type"] == kind), {})


def is_ready(pod: Document) -> bool:
    """Whether a pod is ready and not terminating."""
    return pod_state(pod).meaning == "ready"


def pod_state(pod: Document) -> PodState:
    """Read a pod's status."""
    status = pod.get("status") or {}
    phase = status.get("phase") or "Pending"
    if "deletionTimestamp" in pod["metadata"]:
        return _terminating(pod["metadata"])
    if phase == "Succeeded":
        return PodState(state=phase, meaning="over")
    if phase == "Failed":
        return _ended(status)
    if phase == "Unknown":
        return PodState(
            state=phase, meaning="failed", reason="its node does not answer", cause="node"
        )
    if condition(pod, "Ready").get("status") == "True":
        return PodState(state="Running", meaning="ready")
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _not_scheduled(scheduled)
    return _not_ready(phase, status, starts_again=pod["spec"].get("restartPolicy") != "Never")


def due_s(metadata: Document) -> float:
    """Return when a terminating pod's grace period ends, in seconds since 1970."""
    return parse_time(metadata["deletionTimestamp"])


def _terminating(metadata: Document) -> PodState:
    # The timestamp includes the grace period.
    deleted_s = due_s(metadata) - (metadata.get("deletionGracePeriodSeconds") or 0)
    since = datetime.fromtimestamp(deleted_s, UTC).strftime("%H:%M:%S")
    return PodState(state=f"{TERMINATING} since {since} UTC", meaning="ending")


def _ended(status: Document) -> PodState:
    # The kubelet gives a reason, such as Evicted or UnexpectedAdmissionError, to a pod that it
    # ended or refused; the pod stays until somebody deletes it.
    if why := status.get("reason"):
        message = str(status.get("message") or "ended by its node")
        return PodState(state=str(why), meaning="over", reason=message, cause="node")
    for entry in _containers(status)[1]:
        ended = _in_state(entry, "terminated")
        if ended.get("exitCode"):
            name, reason = entry["name"], f"{entry['name']}: {_exit_text(ended)}"
            return PodState(
                state="Failed", meaning="over", reason=reason, cause="crash", container=name
            )
    return PodState(state="Failed", meaning="over", reason="failed", cause="crash")


def _not_scheduled(scheduled: Document) -> PodState:
    message = " ".join(str(scheduled.get("message") or "no reason given").split())
    # Behind this the scheduler says why it displaces no other pod.
    message = re.split(r"\.? (?:no new claims to deallocate|preemption:)", message)[0]
    reason = f"not scheduled: {message}"
    if scheduled.get("reason") == "SchedulingGated":
        return PodState(state="Pending", meaning="waits", reason=reason)
    cause: PodCause = "volume" if _VOLUME.search(message) else "node"
    return PodState(state="Pending", meaning="failed", reason=reason, cause=cause)


def _not_ready(phase: str, status: Document, *, starts_again: bool) -> PodState:
    """Say what a scheduled pod waits for, by the first container of which that is known."""
    inits, containers = _containers(status)
    for entry in containers:
        if cause := _WAITING.get(_in_state(entry, "waiting").get("reason") or ""):
            return _cannot_start(phase, entry, cause)
    for entry in containers:
        ended = _in_state(entry, "terminated")
        may_end = entry in inits or not starts_again
        if ended and (ended["exitCode"] or not may_end):
            return _stopped(phase, entry, ended, starts_again=starts_again)
    for entry in containers:
        if "running" in (entry.get("state") or {}) and not entry.get("ready"):
            # An init container runs first and is never ready.
            how = "runs" if phase == "Pending" else "runs but is not ready"
            name, reason = entry["name"], f"{entry['name']} {how}{_restarts(entry)}"
            # Its probes end it again and again; the kubelet says CrashLoopBackOff minutes later.
            if (entry.get("restartCount") or 0) >= 2:
                return PodState(
                    state=phase, meaning="failed", reason=reason, cause="start", container=name
                )
            return PodState(state=phase, meaning="waits", reason=reason, container=name)
    for entry in containers:
        if why := _in_state(entry, "waiting").get("reason"):
            return PodState(state=phase, meaning="waits", reason=f"{entry['name']}: {why}")
    if phase == "Running":
        # Only the node's controller has taken the pod's readiness away.
        return PodState(
            state=phase,
            meaning="failed",
            reason="its containers are ready, but its node does not answer",
            cause="node",
        )
    return PodState(state=phase, meaning="waits", reason="not started yet")


def _cannot_start(phase: str, entry: Document, cause: PodCause) -> PodState:
    name, waiting = entry["name"], entry["state"]["waiting"]
    message = " ".join(str(waiting.get("message") or "").split())
    if waiting["reason"] == "CrashLoopBackOff":
        # The message only says for how long the kubelet waits.
        message = f"it ends again and again{_restarts(entry)}"
    if cause == "image":
        # Before these words stand the layers that the error has passed.
        message = re.split(r"ErrImagePull: | desc = ", message)[-1]
        message = _DIGEST.sub("", message)
        if _MAY_BE_PULLED.search(message):
            cause = "pull"
    if cause == "secret" and not re.search(r"not found|couldn't find key", message):
        cause = "start"
    reason = ": ".join(filter(None, (name, waiting["reason"], message)))
    return PodState(state=phase, meaning="failed", reason=reason, cause=cause, container=name)


def _stopped(phase: str, entry: Document, ended: Document, *, starts_again: bool) -> PodState:
    name, reason = entry["name"], f"{entry['name']}: {_exit_text(ended)}"
    if not starts_again:
        return PodState(state=phase, meaning="waits", reason=reason, container=name)
    if not entry.get("restartCount"):
        reason = f"{reason}; it starts again"
        return PodState(state=phase, meaning="waits", reason=reason, container=name)
    # The kubelet says CrashLoopBackOff late, and sometimes for a tenth of a second.
    reason = f"{name}: it ends again and again{_restarts(entry)}"
    return PodState(state=phase, meaning="failed", reason=reason, cause="crash", container=name)


def _containers(status: Document) -> tuple[list[Document], list[Document]]:
    """Return a pod's init containers, and all its containers."""
    inits = list(status.get("initContainerStatuses") or ())
    return inits, [*inits, *(status.get("containerStatuses") or ())]


def _in_state(entry: Document, name: str) -> Document:
    found: Document = (entry.get("state") or {}).get(name) or {}
    return found


def _exit_text(ended: Document) -> str:
    # "Error" says no more than the code does.
    why = ended.get("reason")
    return f"exit code {ended['exitCode']}" + (f" ({why})" if why not in (None, "Error") else "")


def _restarts(entry: Document) -> str:
    count = entry.get("restartCount") or 0
    ended = _in_state(entry, "terminated") or (entry.get("lastState") or {}).get("terminated")
    last = f", the last end with {_exit_text(ended)}" if ended else ""
    return f" ({count} restart{'s' * (count > 1)}{last})" if count else ""
