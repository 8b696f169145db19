"""A cluster whose settings name an existing LiteLLM, without its keys before each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from stacks.settings import Settings
from tests.declaration.settings import EXISTING_GATEWAY, SETTINGS, WITH_KEY
from tests.real.gateway.keys.cluster_keys import PATH, Keys
from tests.real.plan.reader import create_namespace


@pytest.fixture(scope="session")
def settings() -> Settings:
    return replace(SETTINGS, gateway=EXISTING_GATEWAY, **WITH_KEY)


@pytest.fixture(scope="module")
def api(cluster: EmbeddedCluster, kube: Cluster) -> Iterator[KubeApi]:
    for name in ("litellm", "n8n"):
        create_namespace(kube, name)
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as connected:
        yield connected


@pytest.fixture(autouse=True)
def declared_gateway(
    api: KubeApi, cluster: EmbeddedCluster, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr("stacks.declared.load_settings", lambda: settings)
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(cluster.kubeconfig))
    monkeypatch.setenv("KUBE_CTX", cluster.kube_context)
    yield
    for path in (PATH, "/api/v1/namespaces/n8n/secrets/llm"):
        api.request("DELETE", path)


@pytest.fixture
def keys(capsys: pytest.CaptureFixture[str]) -> Keys:
    return Keys(capsys)
