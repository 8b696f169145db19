"""The labels and the security context that every pod of the endpoint shares."""

from __future__ import annotations

APP = "llama-cpp"


def labels(component: str) -> dict[str, str]:
    """Label an object of one component with Kubernetes' recommended labels.

    Args:
        component: `llama-swap`, `model-download` or `models`. Selectors match on it, so it never
            changes.
    """
    return {
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/part-of": APP,
        "app.kubernetes.io/managed-by": "terraform",
    }


def selector(component: str) -> dict[str, str]:
    """Select the pods of one component: the labels that no release or tool changes."""
    return {"app.kubernetes.io/name": component, "app.kubernetes.io/part-of": APP}
