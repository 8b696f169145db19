"""Who holds the card: the pods that asked for a GPU and got a node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from in_pod.gpu_window.api import Api
from in_pod.gpu_window.pods import pod_text

_RESOURCE = "nvidia.com/gpu"
_EVERY_S = 15


class Holders:
    """Looks through all namespaces, now and then, where the account may."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._looked = float("-inf")
        self._found = ""

    def line(self) -> str:
        """Name them; empty where there are none, or where the account may not look."""
        if time.monotonic() - self._looked >= _EVERY_S:
            self._looked = time.monotonic()
            self._found = ", ".join(self._look())
        return self._found

    def _look(self) -> Iterator[str]:
        going = "status.phase!=Succeeded,status.phase!=Failed"
        try:
            status, answer = self._api.request("GET", f"/api/v1/pods?fieldSelector={going}")
        except ConnectionError:
            return
        if status >= 400:
            return
        for pod in answer["items"]:
            if pod["spec"].get("nodeName") and _asks_for_gpu(pod):
                yield f"{pod['metadata']['namespace']}/{pod_text(pod)}"


def _asks_for_gpu(pod: dict[str, Any]) -> bool:
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    requests = (each.get("resources", {}).get("requests", {}) for each in containers)
    return any(int(each.get(_RESOURCE, 0)) for each in requests)
