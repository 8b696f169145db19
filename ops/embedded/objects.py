"""The objects of the embedded cluster before a deploy: its node and the GPU's tenant."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEFINITIONS = Path(__file__).parent / "definitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminApi:
    """The embedded cluster's API server, as its administrator."""

    server: str
    token: str
    certificate: Path

    def is_ready(self) -> bool:
        """Whether the API server is ready.

        Raises:
            OSError: when it does not answer, or is not ready.
        """
        return self._ask("GET", "/readyz") == b"ok"

    def has_ready_node(self) -> bool:
        """Whether the node is ready.

        Raises:
            OSError: when the API server does not answer, or refuses the request.
        """
        node = self.get("/api/v1/nodes/k8s-node1") or {}
        conditions = node.get("status", {}).get("conditions", ())
        return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)

    def get(self, path: str) -> dict[str, Any] | None:
        """Return one object, or None if it does not exist.

        Raises:
            OSError: when the API server does not answer, or refuses the request.
        """
        try:
            document: dict[str, Any] = json.loads(self._ask("GET", path))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None
        return document

    def apply(self, path: str, definition: dict[str, Any]) -> None:
        """Apply one object server-side.

        Raises:
            OSError: when the API server does not answer, or refuses the object.
        """
        self._ask("PATCH", f"{path}?fieldManager=embedded&force=true", definition)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        context = ssl.create_default_context(cafile=str(self.certificate))
        request = urllib.request.Request(  # noqa: S310 - always this machine's API server.
            f"{self.server}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/apply-patch+yaml",
            },
            method=method,
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=10) as response:
            answer: bytes = response.read()
            return answer


def register_node(api: AdminApi, kubelet_port: int) -> None:
    """Register the node with one GPU.

    Args:
        api: The API server.
        kubelet_port: The port where kwok answers in place of the kubelet.
    """
    node = yaml.safe_load((DEFINITIONS / "node.yaml").read_text())
    node["status"]["addresses"] = [{"type": "InternalIP", "address": "127.0.0.1"}]
    node["status"]["daemonEndpoints"] = {"kubeletEndpoint": {"Port": kubelet_port}}
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    api.apply(path, node)
    api.apply(f"{path}/status", node)


def add_gpu_tenant(api: AdminApi) -> None:
    """Add the tenant that shares the GPU, unless it exists: it may be in a window."""
    text = (DEFINITIONS / "gpu_tenant.yaml").read_text()
    namespace, deployment = yaml.safe_load_all(text)
    in_namespace = f"namespaces/{namespace['metadata']['name']}"
    for path, definition in (
        (f"/api/v1/{in_namespace}", namespace),
        (
            f"/apis/apps/v1/{in_namespace}/deployments/{deployment['metadata']['name']}",
            deployment,
        ),
    ):
        if api.get(path) is None:
            api.apply(path, definition)
