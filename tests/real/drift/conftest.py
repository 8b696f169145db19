"""A control plane, a front end and a volume, as declared, for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.commands.drift.declared import declared_of
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import fill_with_tiny_models
from ops.embedded.cluster import EmbeddedCluster
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import SETTINGS
from tests.real.drift.system import System
from tests.real.serve.served import skip_without


@pytest.fixture(scope="module")
def environment(cluster: EmbeddedCluster) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LLAMA_API_KEY", "PG_CONN_STR", "PGHOST"):
            patch.delenv(name, raising=False)
        patch.setenv("KUBE_CONFIG_PATH", str(cluster.kubeconfig))
        patch.setenv("KUBE_CTX", cluster.kube_context)
        yield


@pytest.fixture(scope="module")
def system(
    environment: None,
    cluster: EmbeddedCluster,
    kube: Cluster,
    production: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    skip_without("llama-swap")
    folder = tmp_path_factory.mktemp("system")
    store = fill_with_tiny_models(folder, say=print)
    declared = declared_of(
        SETTINGS,
        DECLARATION,
        production,
        directory=folder / "cdktf.out",
        lock_path=store.lock_path,
    )
    running = serve.start(store, folder, front_end="llama-swap", port=None, say=print)
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    try:
        with KubeApi(target) as api:
            whole = System(declared=declared, api=api, kube=kube, store=store, url=running.url)
            whole.restore()
            yield whole
    finally:
        serve.stop(folder)
