"""All that drift is asked of, for a test to change, and the patterns of its lines."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from ops.cluster.api import Document, KubeApi
from ops.cluster.server_side_apply import Cluster
from ops.commands.drift.declared import Declared
from ops.commands.drift.run import Ask, Drift, drift
from ops.commands.serve.local_store import LocalStore
from ops.endpoint.client import Endpoint
from ops.endpoint.residents import find as find_residents
from tests.real.settled import until_settled

NAMESPACE = "llama-cpp"
CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/llama-swap"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llama-swap"
KEY = "llama-swap.yaml"
WRITER = "?fieldManager=kubectl-edit"
COMMIT = r"\((commit [0-9a-f]+, \d{4}-\d\d-\d\d \d\d:\d\dZ|not committed)\)"
EDITED = r"\(kubectl-edit, \d{4}-\d\d-\d\d \d\d:\d\dZ\)"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All that drift is asked of."""

    declared: Declared
    api: KubeApi
    kube: Cluster
    store: LocalStore
    url: str

    def drift(self, **changes: Any) -> Drift:
        ask = replace(Ask(url=self.url, volume=self.store.volume), **changes)
        return drift(self.declared, ask, say=lambda line: None)

    def lines(self, **changes: Any) -> list[str]:
        result = self.drift(**changes)
        assert result.unreachable == ()
        return [difference.line for difference in result.differences]

    def patch(self, path: str, body: Document) -> None:
        status, document = self.api.request("PATCH", f"{path}{WRITER}", body)
        assert status == 200, document

    def restore(self) -> None:
        """Bring back the declared objects, and wait until they run."""
        self.kube.apply(self.declared.objects)
        self.until_settled()

    def until_settled(self) -> None:
        """Wait until the declared objects run."""
        until_settled(self.api, self.declared.objects)

    def pods(self) -> list[Document]:
        """The serving pods that are not about to go."""
        chosen = "labelSelector=app.kubernetes.io/name=llama-swap"
        listing = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{chosen}") or {}
        return [item for item in listing["items"] if not item["metadata"].get("deletionTimestamp")]


def only_line(lines: list[str], pattern: str) -> None:
    assert len(lines) == 1, lines
    assert re.fullmatch(pattern, lines[0]), lines[0]


def running(url: str) -> list[str]:
    models = httpx2.get(f"{url}/running", trust_env=False).json()["running"]
    return [model["model"] for model in models]


def loaded(url: str) -> tuple[str, ...]:
    with Endpoint(url) as endpoint:
        return find_residents(endpoint, timeout_s=10).loaded


def load(url: str, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    response = httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
    assert response.status_code == 200, response.text


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
