"""The accounts of docs/ci/ may read everything that a plan and drift read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.commands.drift.cluster import look, object_path
from ops.embedded import credentials
from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT
from tests.real.drift.system import NAMESPACE, System, until


@contextmanager
def as_account(
    system: System, cluster: EmbeddedCluster, name: str, folder: Path
) -> Iterator[KubeApi]:
    documents: list[Document] = []
    for file in ("plan-reader.yaml", "drift-reader.yaml"):
        documents += yaml.safe_load_all((ROOT / "docs" / "ci" / file).read_text())
    system.kube.apply(documents)
    status, answer = system.api.request(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{name}/token",
        {"spec": {"expirationSeconds": 600}},
    )
    assert status == 201, answer
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    kubeconfig = credentials.write_kubeconfig(
        folder / "kubeconfig",
        config["clusters"][0]["cluster"]["server"],
        answer["status"]["token"],
        cluster.state_dir / "certs" / "apiserver.crt",
    )
    with KubeApi(KubeTarget(config_path=kubeconfig, context=credentials.CONTEXT)) as api:
        # The API server learns of new Roles by watching itself, a moment later.
        last = documents[-1]["metadata"]
        pods = f"/api/v1/namespaces/{last['namespace']}/pods"
        if name == "drift-reader":
            until(lambda: api.request("GET", pods)[0] == 200)
        yield api


@pytest.mark.parametrize("name", ["plan-reader", "drift-reader"])
def test_a_reader_may_read_every_object_of_the_stack(
    name: str, system: System, cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    with as_account(system, cluster, name, tmp_path) as api:
        paths = [object_path(manifest) for manifest in system.declared.objects]
        until(lambda: {api.request("GET", path)[0] for path in paths} == {200})
        status, _ = api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets")
        assert status == 403


def test_drift_reads_the_cluster_as_its_account(
    system: System, cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    with as_account(system, cluster, "drift-reader", tmp_path) as api:
        found = look(system.declared, api)
    assert found == replace(found, findings=(), notes=())
