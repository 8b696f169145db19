"""What the status of an object means: the table for a deploy, a window and drift.

A pod's row is `in_pod.kubernetes.pod_state`, which a program in the cluster needs too; what owns
pods is in `ops.cluster.workload_states`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from ops.cluster.api import Document
from ops.cluster.causes import Cause
from ops.errors import one_line
from ops.report.kubectl import kubectl

Meaning = Literal["settled", "declared", "waits", "stopped", "failed"]
"""`declared`: it waits for something that the settings declare. `stopped`: somebody stopped it and
has to start it again."""
LatestEvent = Callable[[Document], Document]
"""Returns the latest event about an object; empty if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectState:
    """One object, as the operator reads it."""

    kind: str
    name: str
    state: str
    """`Running on k8s-node1`, `Bound to llama-cpp-models`, `1 of 1 ready`, ..."""
    meaning: Meaning
    reason: str = ""
    """What it waits for, or why it failed; empty if it is settled."""
    cause: Cause | None = None
    """What has failed."""
    since: str | None = None
    """When it failed, as Kubernetes writes a time; None if that is not known."""
    container: str = ""
    """The pod's container whose log may say more."""
    namespace: str = ""
    """Its namespace where there are several pools, whose objects have the same names."""

    @property
    def shown_name(self) -> str:
        """Its name, with its namespace where several pools have such an object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def is_settled(self) -> bool:
        """Whether it waits for nothing."""
        return self.meaning == "settled"


def absent(manifest: Document) -> ObjectState:
    """Return the state of an object that the cluster does not have."""
    is_volume = manifest["kind"].startswith("PersistentVolume")
    cause: Cause = "volume" if is_volume else "terminating"
    return row(manifest, "absent", "failed", "it does not exist", cause)


def namespace(document: Document) -> Iterator[ObjectState]:
    """Read a namespace: only one that is being deleted is worth a row."""
    if (document.get("status") or {}).get("phase") != "Terminating":
        return
    remaining = [
        str(entry.get("message"))
        for entry in document["status"].get("conditions") or ()
        if entry.get("status") == "True" and entry.get("message")
    ]
    reason = "; ".join(remaining) or "all its objects are being deleted"
    yield row(document, "Terminating", "failed", reason, "terminating")


def claim_of(volume: Document) -> str | None:
    """The claim that a PersistentVolume belongs to: `llama-cpp/models`; None of another kind."""
    bound = volume["spec"].get("claimRef") if volume["kind"] == "PersistentVolume" else None
    return f"{bound['namespace']}/{bound['name']}" if bound else None


def volume(document: Document) -> Iterator[ObjectState]:
    """Read a PersistentVolume: only one that cannot be bound is worth a row."""
    phase = (document.get("status") or {}).get("phase") or "Pending"
    if is_terminating(document):
        yield terminating(document)
    elif phase == "Released":
        claim = (document["spec"].get("claimRef") or {}).get("name", "")
        free = kubectl(
            f"patch pv {document['metadata']['name']} --type=json "
            """-p='[{"op": "remove", "path": "/spec/claimRef"}]'"""
        )
        reason = f"it still belongs to the deleted claim {claim}; {free} frees it"
        yield row(document, phase, "failed", reason, "volume")
    elif phase == "Failed":
        reason = document["status"].get("message") or "its reclaim failed"
        yield row(document, phase, "failed", reason, "volume")


def claim(document: Document, latest_event: LatestEvent) -> ObjectState:
    """Read a PersistentVolumeClaim."""
    phase = (document.get("status") or {}).get("phase") or "Pending"
    name = document["spec"].get("volumeName") or "no volume"
    if is_terminating(document):
        return terminating(document)
    if phase == "Bound":
        return row(document, f"Bound to {name}", "settled")
    if phase == "Lost":
        return row(document, phase, "failed", f"its volume {name} no longer exists", "volume")
    reason = latest_event(document).get("message") or "no volume is bound"
    return row(document, phase, "failed", reason, "volume")


def cron_job(document: Document) -> Iterator[ObjectState]:
    """Read a CronJob: only a suspended one is worth a row."""
    if is_terminating(document):
        yield terminating(document)
    elif document["spec"].get("suspend"):
        yield row(document, "suspended", "settled")


def start_again(document: Document) -> str:
    """Return the command that starts a paused Deployment or a suspended Job or CronJob again."""
    kind, name = document["kind"], document["metadata"]["name"]
    again = f"""patch {kind.lower()} {name} -p '{{"spec":{{"suspend":false}}}}'"""
    if kind == "Deployment":
        again = f"rollout resume deployment/{name}"
    return kubectl(again, namespace=document["metadata"]["namespace"])


def terminating(document: Document) -> ObjectState:
    """Return the state of an object that is being deleted."""
    since = document["metadata"]["deletionTimestamp"]
    reason = held_by(document["metadata"]) or "it is being deleted"
    return row(document, f"Terminating since {since}", "failed", reason, "terminating")


def held_by(metadata: Document) -> str:
    """Say which finalizers hold an object that is being deleted; empty if none does."""
    finalizers = metadata.get("finalizers") or ()
    if not finalizers:
        return ""
    using = " (a pod still uses it)" if "kubernetes.io/pvc-protection" in finalizers else ""
    return f"it is being deleted, and held by {', '.join(finalizers)}{using}"


def row(
    document: Document,
    state: str,
    meaning: Meaning,
    reason: str = "",
    cause: Cause | None = None,
) -> ObjectState:
    """Return the state of an object, with a reason that is fit for a terminal."""
    return ObjectState(
        kind=document["kind"],
        name=document["metadata"]["name"],
        state=state,
        meaning=meaning,
        reason=one_line(reason, limit=400),
        cause=cause,
    )


def is_terminating(document: Document) -> bool:
    """Whether an object is being deleted."""
    return "deletionTimestamp" in document["metadata"]
