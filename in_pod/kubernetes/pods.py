"""The state of workloads, and the text of a pod's."""

from __future__ import annotations

from .api import Document
from .pod_state import pod_state


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


def pod_text(pod: Document) -> str:
    """Describe a pod's state and node."""
    found = pod_state(pod)
    node = pod["spec"].get("nodeName")
    where = f" on {node}" if node else ""
    return f"{pod['metadata']['name']} ({found.reason or found.state}{where})"
