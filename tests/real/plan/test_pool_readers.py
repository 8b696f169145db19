"""What the accounts of docs/ci may read of further pools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.paths import object_path
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import manifests
from tests.conftest import Synth
from tests.declaration.pools import HOUSED, POOLED, POOLS
from tests.declaration.settings import EXISTING_GATEWAY, WITH_KEY
from tests.real.plan.reader import DOCS, NAMESPACE, account, create_namespace, of_pool

FURTHER = [pool.settings.namespace for pool in POOLS[1:]]


@pytest.fixture(scope="module")
def readers(
    cluster: EmbeddedCluster, kube: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, KubeTarget]:
    directory = tmp_path_factory.mktemp("readers")
    create_namespace(kube, NAMESPACE)
    names = ("plan-reader", "drift-reader")
    targets = {name: account(cluster, kube, name, directory) for name in names}
    for namespace in FURTHER:
        of_pool(kube, namespace)
    return targets


@pytest.fixture(params=["plan-reader", "drift-reader"])
def reader(readers: dict[str, KubeTarget], request: pytest.FixtureRequest) -> Iterator[KubeApi]:
    with KubeApi(readers[request.param]) as api:
        yield api


def rules(file: str, kind: str, namespace: str | None, name: str) -> list[Any]:
    (document,) = (
        document
        for document in yaml.safe_load_all((DOCS / file).read_text())
        if (document["kind"], document["metadata"]["name"]) == (kind, name)
        and document["metadata"].get("namespace") == namespace
    )
    found: list[Any] = document["rules"]
    return found


@pytest.mark.parametrize("name", ["plan-reader", "drift-reader"])
def test_a_further_pool_is_read_as_the_first_one_is(name: str) -> None:
    assert rules("pool-readers.yaml", "Role", "llama-cpp-POOL", name) == rules(
        f"{name}.yaml", "Role", NAMESPACE, name
    )


def test_its_objects_without_a_namespace_are_those_of_the_first_one() -> None:
    of_first = rules("plan-reader.yaml", "ClusterRole", None, "llama-cpp-plan-reader")
    of_pool = rules("pool-readers.yaml", "ClusterRole", None, "llama-cpp-POOL-reader")

    for rule in of_first:
        names = [name.removeprefix(NAMESPACE) for name in rule["resourceNames"]]
        rule["resourceNames"] = [f"{NAMESPACE}-POOL{name}" for name in names]
    assert of_pool == of_first


def test_the_readers_read_every_object_of_every_pool(reader: KubeApi, synth: Synth) -> None:
    document = synth(
        HOUSED,
        pool=POOLED.pool,
        pools=POOLED.pools,
        gpu=POOLED.gpu,
        gateway=EXISTING_GATEWAY,
        **WITH_KEY,
    )
    for manifest in manifests(document):
        path = object_path(manifest)
        assert reader.request("GET", path)[0] in (200, 404), path
        if "namespace" in manifest["metadata"]:
            assert reader.request("GET", path.rpartition("/")[0])[0] == 200, path


@pytest.mark.parametrize("namespace", FURTHER)
def test_the_readers_write_nothing_there(reader: KubeApi, namespace: str) -> None:
    for path in (
        f"/apis/apps/v1/namespaces/{namespace}/deployments/llama-swap",
        f"/api/v1/namespaces/{namespace}/configmaps/llama-swap",
        f"/api/v1/namespaces/{namespace}",
        f"/api/v1/persistentvolumes/{namespace}-models",
    ):
        assert reader.request("PATCH", path, {"metadata": {}})[0] == 403, path
    assert reader.request("GET", f"/api/v1/namespaces/{namespace}/secrets")[0] == 403


def test_drift_sees_the_pods_and_the_window_of_each_pool(readers: dict[str, KubeTarget]) -> None:
    with KubeApi(readers["drift-reader"]) as api:
        for namespace in FURTHER:
            lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/gpu-window"
            assert api.request("GET", f"/api/v1/namespaces/{namespace}/pods")[0] == 200
            assert api.request("GET", lease)[0] == 404
