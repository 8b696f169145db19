"""Find the pods that hold the GPU: those that request one and are on a node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from in_pod.gpu_window.api import Api
from in_pod.gpu_window.pods import pod_text

_RESOURCE = "nvidia.com/gpu"
_REFRESH_S = 15


class Holders:
    """Looks for them in all namespaces, every 15 s, if the account may list pods."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._looked_at = float("-inf")
        self._names = ""

    def line(self) -> str:
        """Return their names; empty if there are none or the account may not list pods."""
        if time.monotonic() - self._looked_at >= _REFRESH_S:
            self._looked_at = time.monotonic()
            self._names = ", ".join(self._look())
        return self._names

    def _look(self) -> Iterator[str]:
        active = "status.phase!=Succeeded,status.phase!=Failed"
        try:
            status, answer = self._api.request("GET", f"/api/v1/pods?fieldSelector={active}")
        except ConnectionError:
            return
        if status >= 400:
            return
        for pod in answer["items"]:
            if pod["spec"].get("nodeName") and _requests_gpu(pod):
                yield f"{pod['metadata']['namespace']}/{pod_text(pod)}"


def _requests_gpu(pod: dict[str, Any]) -> bool:
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    requests = (container.get("resources", {}).get("requests", {}) for container in containers)
    return any(int(request.get(_RESOURCE, 0)) for request in requests)
