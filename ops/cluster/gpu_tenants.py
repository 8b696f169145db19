"""The card's tenants in the cluster: which pods hold the card, and which wait for it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Api
from in_pod.kubernetes.pod_state import condition
from in_pod.kubernetes.pods import pod_text
from in_pod.kubernetes.workload import Workload
from llama_swap_config.cluster.gpu_tenants import GpuTenant

_REFRESH_S = 15


class Holders:
    """Looks for those that hold it in all namespaces, every 15 s, if the account may list pods."""

    def __init__(
        self,
        api: Api,
        resource: str,
        *,
        tenants: Iterable[GpuTenant] = (),
        node_selector: Mapping[str, str] | None = None,
    ) -> None:
        """Look at nothing yet.

        Args:
            api: The API server.
            resource: The extended resource that the card is.
            tenants: Those in whose namespaces to look if the account may not list all pods
                (default: none).
            node_selector: The labels of the nodes whose cards count, if the account may list
                nodes (default: the cards of all nodes).
        """
        self.resource = resource
        self.is_known = False
        """Whether the last look has seen all pods."""
        self._namespaces = tuple(dict.fromkeys(tenant.namespace for tenant in tenants))
        self._node_selector = node_selector
        self._api = api
        self._looked_at = float("-inf")
        self._pods: tuple[str, ...] = ()

    def pods(self) -> tuple[str, ...]:
        """Return `NAMESPACE/POD (STATE)` of each; none if the account may not list pods."""
        if time.monotonic() - self._looked_at >= _REFRESH_S:
            self._looked_at = time.monotonic()
            self._pods = tuple(self._look())
        return self._pods

    def line(self) -> str:
        """Return them in one line; empty if there are none."""
        return ", ".join(self.pods())

    def _look(self) -> Iterator[str]:
        pods = self._list("/api/v1/pods")
        self.is_known = pods is not None
        if pods is None:
            paths = (f"/api/v1/namespaces/{name}/pods" for name in self._namespaces)
            pods = [pod for path in paths for pod in self._list(path) or ()]
        nodes = self._nodes()
        for pod in pods:
            node = pod["spec"].get("nodeName")
            is_here = node and (nodes is None or node in nodes)
            if is_here and _requests(pod, self.resource):
                yield f"{pod['metadata']['namespace']}/{pod_text(pod)}"

    def _nodes(self) -> set[str] | None:
        """The names of the nodes whose cards count; None: of all, or not known."""
        if self._node_selector is None:
            return None
        chosen = ",".join(f"{key}={value}" for key, value in self._node_selector.items())
        nodes = self._get("/api/v1/nodes", labelSelector=chosen)
        return None if nodes is None else {node["metadata"]["name"] for node in nodes}

    def _list(self, path: str) -> list[dict[str, Any]] | None:
        """List pods that have not ended; None if the API server refuses or does not answer."""
        return self._get(path, fieldSelector="status.phase!=Succeeded,status.phase!=Failed")

    def _get(self, path: str, **query: str) -> list[dict[str, Any]] | None:
        try:
            status, answer = self._api.request("GET", f"{path}?{urlencode(query)}")
        except ConnectionError:
            return None
        return answer["items"] if status < 400 else None


def is_of_tenant(pod: str, tenants: Iterable[GpuTenant]) -> bool:
    """Whether a pod of `Holders.pods` is one of a tenant."""
    return any(pod.startswith(f"{tenant}-") for tenant in tenants)


def workload(tenant: GpuTenant) -> Workload:
    """Return a tenant's workload."""
    return Workload(kind=tenant.kind, namespace=tenant.namespace, name=tenant.name)


def waiting(window: Window, workload: Workload, resource: str) -> str:
    """List a workload's pods that wait for the card; empty if none does.

    Args:
        window: The window's connection to the API server.
        workload: The workload.
        resource: The extended resource that the card is.

    Raises:
        WindowError: when the API server refuses or does not answer.
    """
    document = window.read(workload)
    pods = () if document is None else window.pods(workload, document)
    return ", ".join(
        pod["metadata"]["name"] for pod in pods if lacks(_not_scheduled(pod), resource)
    )


def lacks(message: str, resource: str) -> bool:
    """Whether the scheduler's message says that no node has the resource left.

    The key of a node's taint, of which it may complain too, is often the resource's name.
    """
    return re.search(rf"Insufficient {re.escape(resource)}(?![\w/-]|\.\w)", message) is not None


def _not_scheduled(pod: dict[str, Any]) -> str:
    scheduled = condition(pod, "PodScheduled")
    return str(scheduled.get("message") or "") if scheduled.get("status") == "False" else ""


def _requests(pod: dict[str, Any], resource: str) -> bool:
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    requests = (container.get("resources", {}).get("requests", {}) for container in containers)
    return any(request.get(resource, "0") not in ("0", 0) for request in requests)
