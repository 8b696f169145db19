"""The state of workloads and pods, and its text."""

from __future__ import annotations

from datetime import UTC, datetime

from .api import Document
from .asking import message_of
from .record import parse_time


def is_observed(workload: Document) -> bool:
    """Whether a workload's status is up to date with its spec."""
    observed = workload.get("status", {}).get("observedGeneration", 0)
    return bool(observed >= workload["metadata"]["generation"])


def replicas_of(workload: Document) -> int:
    """Return a workload's replicas; Kubernetes' default is 1."""
    count: int = workload["spec"].get("replicas", 1)
    return count


def scaled_by(workload: Document) -> str:
    """Name the program that set a workload's replicas, by its managed fields; empty if unknown."""
    for entry in workload["metadata"].get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        if "f:replicas" in (fields.get("f:spec") or {}):
            return str(entry.get("manager") or "")
    return ""


def label_selector(selector: Document) -> str:
    """Format a workload's selector for a query."""
    forms = {
        "In": "{key} in ({values})",
        "NotIn": "{key} notin ({values})",
        "Exists": "{key}",
        "DoesNotExist": "!{key}",
    }
    terms = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for expression in selector.get("matchExpressions", ()):
        form = forms[expression["operator"]]
        values = ",".join(expression.get("values") or ())
        terms.append(form.format(key=expression["key"], values=values))
    return ",".join(terms)


def condition(resource: Document, kind: str) -> Document:
    """Find a condition of an object; empty if there is none of that kind."""
    conditions = resource.get("status", {}).get("conditions") or ()
    return next((entry for entry in conditions if entry["type"] == kind), {})


def is_ready(pod: Document) -> bool:
    """Whether a pod is ready and not terminating."""
    terminating = "deletionTimestamp" in pod["metadata"]
    return not terminating and condition(pod, "Ready").get("status") == "True"


def pod_text(pod: Document) -> str:
    """Describe a pod's state and node."""
    metadata, name = pod["metadata"], pod["metadata"]["name"]
    node = pod["spec"].get("nodeName")
    where = f" on {node}" if node else ""
    if "deletionTimestamp" in metadata:
        # The timestamp includes the grace period.
        due = parse_time(metadata["deletionTimestamp"])
        deleted = due - (metadata.get("deletionGracePeriodSeconds") or 0)
        since = datetime.fromtimestamp(deleted, UTC).strftime("%H:%M:%S")
        return f"{name} (Terminating since {since} UTC{where})"
    if is_ready(pod):
        return f"{name} (Running{where})"
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{name} (not scheduled: {message_of(scheduled)})"
    status = pod["status"]
    for container in [
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ]:
        state = container.get("state", {})
        if reason := state.get("waiting", {}).get("reason"):
            return f"{name} ({container['name']}: {reason}{where})"
        if not container.get("ready") and "running" in state:
            return f"{name} ({container['name']} is running but not ready{where})"
    return f"{name} ({status.get('phase', 'Pending')}{where})"
