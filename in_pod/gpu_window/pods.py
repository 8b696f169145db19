"""What Kubernetes says of Deployments and their pods, in a person's words."""

from __future__ import annotations

from datetime import UTC, datetime

from .api import Document
from .asking import message_of
from .record import parse_time


def is_observed(deployment: Document) -> bool:
    """Whether a Deployment's status is about what it now asks for."""
    observed = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(observed >= deployment["metadata"]["generation"])


def label_selector(selector: Document) -> str:
    """Write a Deployment's selector as a query has it."""
    forms = {
        "In": "{key} in ({values})",
        "NotIn": "{key} notin ({values})",
        "Exists": "{key}",
        "DoesNotExist": "!{key}",
    }
    terms = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", ()):
        values = ",".join(each.get("values") or ())
        terms.append(forms[each["operator"]].format(key=each["key"], values=values))
    return ",".join(terms)


def condition(thing: Document, kind: str) -> Document:
    """Find a condition of an object; empty where it has none of that kind."""
    conditions = thing.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})


def is_ready(pod: Document) -> bool:
    """Whether a pod is ready, and not on its way out."""
    going = "deletionTimestamp" in pod["metadata"]
    return not going and condition(pod, "Ready").get("status") == "True"


def pod_text(pod: Document) -> str:
    """Say what keeps a pod, and where."""
    metadata, name = pod["metadata"], pod["metadata"]["name"]
    node = pod["spec"].get("nodeName")
    where = f" on {node}" if node else ""
    if "deletionTimestamp" in metadata:
        # The moment at which it has to be gone, its grace period included.
        due = parse_time(metadata["deletionTimestamp"])
        asked = due - (metadata.get("deletionGracePeriodSeconds") or 0)
        since = datetime.fromtimestamp(asked, UTC).strftime("%H:%M:%S")
        return f"{name} (Terminating since {since} UTC{where})"
    if is_ready(pod):
        return f"{name} (Running{where})"
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{name} (not scheduled: {message_of(scheduled)})"
    status = pod["status"]
    for each in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        state = each.get("state", {})
        if reason := state.get("waiting", {}).get("reason"):
            return f"{name} ({each['name']}: {reason}{where})"
        if not each.get("ready") and "running" in state:
            return f"{name} ({each['name']} runs, not ready{where})"
    return f"{name} ({status.get('phase', 'Pending')}{where})"
