"""What `doctor --cluster` says of three pools: namespace, Secret, node and volume of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llama_swap_config.cluster.pod_resources import PRODUCT
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from tests.declaration.pools import HOUSED, NODES, POOLED, RTX3090, T4, TWO_CARDS
from tests.declaration.settings import WITH_KEY
from tests.real.doctor.conftest import Doctor, Result, obey
from tests.real.embedded.shared_cluster import SharedCluster

SECRET = "Secret llama-swap-keys"


@pytest.fixture(scope="module")
def three_nodes(cluster: EmbeddedCluster) -> None:
    embedded.declare(cluster, POOLED)


@pytest.fixture
def pooled(
    doctor: Doctor,
    three_nodes: None,
    monkeypatch: pytest.MonkeyPatch,
    shared_cluster: SharedCluster,
    api: KubeApi,
) -> Iterator[Doctor]:
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", HOUSED)
    fields = {"pool": POOLED.pool, "pools": POOLED.pools, "gpu": POOLED.gpu}
    doctor.declare(models=HOUSED, hf_token_secret="hub", **fields, **WITH_KEY)
    yield doctor
    for name in ("llama-cpp", "llama-cpp-rtx3090", "llama-cpp-two-cards"):
        shared_cluster.remove_namespace(api, name)


def secrets(result: Result) -> dict[str, str]:
    return {name: check["found"] for name, check in result.checks.items() if "Secret" in name}


def test_each_pool_has_its_node_volume_and_namespace(pooled: Doctor) -> None:
    result = pooled.run()
    nodes = {name: check for name, check in result.checks.items() if name.endswith("GPU node")}
    assert {name: check["found"] for name, check in nodes.items()} == {
        f"{pool}: GPU node": node for pool, node in NODES.items()
    }
    assert result.checks[f"{TWO_CARDS}: GPUs of the node"]["found"] == "2 nvidia.com/gpu"
    assert result.checks[f"{TWO_CARDS}: node of storage"]["found"] == "matches"
    for pool, namespace in ((T4, "llama-cpp"), (RTX3090, f"llama-cpp-{RTX3090}")):
        assert f"{pool}: namespace {namespace}" in result.checks
        assert f"rights in {namespace}" in result.checks


def test_a_pool_that_downloads_nothing_needs_no_token(pooled: Doctor) -> None:
    assert secrets(pooled.run()) == {
        f"{T4}: {SECRET}": "not there",
        f"{T4}: Secret hub": "not there",
        f"{RTX3090}: {SECRET}": "not there",
        f"{TWO_CARDS}: {SECRET}": "not there",
        f"{TWO_CARDS}: Secret hub": "not there",
    }


def test_the_printed_commands_copy_the_key_into_each_namespace(
    pooled: Doctor, api: KubeApi
) -> None:
    obey(pooled.run().checks[f"{T4}: {SECRET}"])
    for pool in (RTX3090, TWO_CARDS):
        obey(pooled.run("--pool", pool).checks[f"{pool}: {SECRET}"])
    found = {name: text for name, text in secrets(pooled.run()).items() if name.endswith("keys")}
    assert set(found.values()) == {"there"}
    data = [
        (api.get(f"/api/v1/namespaces/{name}/secrets/llama-swap-keys") or {})["data"]
        for name in ("llama-cpp", "llama-cpp-rtx3090", "llama-cpp-two-cards")
    ]
    assert data[0] == data[1] == data[2]

    path = "/api/v1/namespaces/llama-cpp-rtx3090/secrets/llama-swap-keys"
    code, _ = api.request("PATCH", path, {"stringData": {"KEY_GATEWAY": "another"}})
    assert code == 200
    check = pooled.run().checks[f"{RTX3090}: {SECRET}"]
    assert check["found"] == "another KEY_GATEWAY than in llama-cpp"
    obey(check)
    assert pooled.run().checks[f"{RTX3090}: {SECRET}"]["verdict"] == "ok"


def test_a_node_with_another_card_is_named_with_its_pool(pooled: Doctor, api: KubeApi) -> None:
    path = f"/api/v1/nodes/{NODES[RTX3090]}"
    before = POOLED.pools[0].gpu.product
    api.request("PATCH", path, {"metadata": {"labels": {PRODUCT: "Tesla-T4"}}})
    try:
        assert pooled.run().checks[f"{RTX3090}: card"]["verdict"] == "blocks"
        assert f"{T4}: card" not in pooled.run("--pool", RTX3090).checks
    finally:
        api.request("PATCH", path, {"metadata": {"labels": {PRODUCT: before}}})


def test_an_unknown_pool_is_refused_before_anything_is_asked(
    pooled: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--cluster", "--pool", "a100"]) == 1
    assert capsys.readouterr().err == (
        "error: --pool is 'a100'; expected one of t4, rtx3090, two-cards\n"
    )
    assert main(["doctor", "--pool", T4]) == 2
    assert "--pool requires --cluster" in capsys.readouterr().err
