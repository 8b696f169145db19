"""Labels and annotations of the endpoint's objects."""

from __future__ import annotations

APP = "llama-cpp"
ENDPOINT = "llama-swap"
"""The component of the serving pod, whichever front end runs."""
GATEWAY = "gateway"
DOWNLOAD = "model-download"
UPKEEP = "model-upkeep"
RESTORE = "gpu-window-restore"
EXPORTER = "exporter"
CONFIG_ANNOTATION = "checksum/config"
WARM_UP_ANNOTATION = "checksum/warm-up"


def labels(component: str) -> dict[str, str]:
    """Make Kubernetes' recommended labels for an object.

    Args:
        component: `ENDPOINT`, `DOWNLOAD` or `models`. It never changes: selectors match on it.
    """
    return {
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/part-of": APP,
        "app.kubernetes.io/managed-by": "terraform",
    }


def selector(component: str) -> dict[str, str]:
    """Make the selector of a component's pods, from the labels that no release or tool changes."""
    return {"app.kubernetes.io/name": component, "app.kubernetes.io/part-of": APP}
