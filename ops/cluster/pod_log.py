"""Read the log of the serving pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT
from llama_swap_config.cluster.labels import selector
from ops.cluster.api import Document, KubeApi
from ops.errors import OpsError

if TYPE_CHECKING:
    from ops.cluster.environment import KubeTarget
    from stacks.settings import Settings


def serving_log(target: KubeTarget, settings: Settings) -> str:
    """Return the stored log of the serving pod's front end.

    Args:
        target: The cluster.
        settings: The settings with the pod's namespace.

    Raises:
        OpsError: when no pod runs, or the API server refuses the request or does not answer.
    """
    pods = f"/api/v1/namespaces/{settings.namespace}/pods"
    chosen = ",".join(f"{key}={value}" for key, value in selector(ENDPOINT_DEPLOYMENT).items())
    with KubeApi(target) as api:
        listing = api.get(f"{pods}?labelSelector={chosen}") or {}
        running: list[Document] = [
            pod
            for pod in listing.get("items") or ()
            if (pod.get("status") or {}).get("phase") == "Running"
            and not pod["metadata"].get("deletionTimestamp")
        ]
        if not running:
            raise OpsError("no serving pod runs")
        name = running[0]["metadata"]["name"]
        return api.text(f"{pods}/{name}/log?container={ENDPOINT_DEPLOYMENT}")
