"""The labels and annotations by which the objects of the endpoint are known."""

from __future__ import annotations

APP = "llama-cpp"
ENDPOINT = "llama-swap"
"""The component that serves the models, whichever front end runs."""
CONFIG_ANNOTATION = "checksum/config"
WARM_UP_ANNOTATION = "checksum/warm-up"


def labels(component: str) -> dict[str, str]:
    """Label an object of one component with Kubernetes' recommended labels.

    Args:
        component: `ENDPOINT`, `model-download` or `models`. Selectors match on it, so it never
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
