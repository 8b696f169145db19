"""What is in the embedded cluster before anything is deployed: its node, and who has the GPU."""

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
    """This machine's API server, asked by its administrator."""

    server: str
    token: str
    certificate: Path

    def is_ready(self) -> bool:
        """Ask whether it serves.

        Raises:
            OSError: when no answer comes, or another one.
        """
        return self._ask("GET", "/readyz") == b"ok"

    def has_ready_node(self) -> bool:
        """Ask whether the node is ready.

        Raises:
            OSError: when no answer comes, or a refusal.
        """
        node = self.get("/api/v1/nodes/k8s-node1") or {}
        conditions = node.get("status", {}).get("conditions", ())
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def get(self, path: str) -> dict[str, Any] | None:
        """Read one object; None where there is none.

        Raises:
            OSError: when no answer comes, or a refusal.
        """
        try:
            found: dict[str, Any] = json.loads(self._ask("GET", path))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None
        return found

    def apply(self, path: str, definition: dict[str, Any]) -> None:
        """Apply one object server-side.

        Raises:
            OSError: when no answer comes, or a refusal.
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
    """Give the cluster its node with one GPU.

    Args:
        api: The API server.
        kubelet_port: Where kwok answers in the kubelet's place.
    """
    node = yaml.safe_load((DEFINITIONS / "node.yaml").read_text())
    node["status"]["addresses"] = [{"type": "InternalIP", "address": "127.0.0.1"}]
    node["status"]["daemonEndpoints"] = {"kubeletEndpoint": {"Port": kubelet_port}}
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    api.apply(path, node)
    api.apply(f"{path}/status", node)


def add_gpu_tenant(api: AdminApi) -> None:
    """Give the cluster who shares the GPU; one that is there may be in a window, and stays so."""
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
