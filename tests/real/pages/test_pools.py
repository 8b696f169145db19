"""docs/pools.md, typed: a second pool is added, drained and removed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ops.cluster.api import KubeApi
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT
from tests.declaration.pools import POOLED
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.pages.conftest import NewReader
from tests.real.pages.page import Page
from tests.real.pages.reader import Reader

PAGE = "docs/pools.md"
NAMESPACE = "/api/v1/namespaces/llama-cpp-rtx3090"
NODES = ("k8s-node1", "k8s-node2")
SERVES = "deployed; the endpoint serves"


@pytest.fixture
def reader(
    new_reader: NewReader,
    cluster: EmbeddedCluster,
    shared_cluster: SharedCluster,
    api: KubeApi,
) -> Iterator[Reader]:
    """A reader whose cluster has a second GPU node, and an endpoint with a key on either."""
    embedded.declare(cluster, replace(POOLED, pools=POOLED.pools[:1]))
    for node in NODES:
        labels = {"nvidia.com/gpu.present": "true"}
        code, _ = api.request("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}})
        assert code == 200
    found = new_reader(
        PAGE,
        values={
            "postgres://terraform@postgresql.dbaas:5432/terraform": shlex.quote(
                cluster.pg_conn_str
            )
        },
    )
    assert SERVES in found.type("python -m ops deploy")
    found.type(
        "kubectl -n llama-cpp create secret generic llama-swap-keys "
        "--from-literal=KEY_GATEWAY=example"
    )
    yield found
    found.terminal.type("git reset --quiet --hard HEAD")
    shared_cluster.empty()


def house(reader: Reader, pools: tuple[str, ...]) -> None:
    """Give each model the same homes."""
    registry = reader.terminal.checkout / "llama_swap_config/registry.py"
    lines = []
    for line in registry.read_text().splitlines():
        if line.strip().startswith("pools="):
            continue
        lines.append(line)
        if line.strip().startswith("id="):
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}pools={pools!r},")
    registry.write_text("\n".join(lines) + "\n")


def test_a_pool_comes_waits_and_goes(reader: Reader, api: KubeApi) -> None:
    assert Page(ROOT / PAGE).sections == ("Add a pool", "Drain a node", "Remove a pool")

    house(reader, ("rtx3090", "t4"))
    *_, deployed = reader.follow("Add a pool")
    assert "deployed; all 2 endpoints serve" in deployed
    keys = [
        (api.get(f"/api/v1/namespaces/{name}/secrets/llama-swap-keys") or {})["data"]
        for name in ("llama-cpp", "llama-cpp-rtx3090")
    ]
    assert keys[0] == keys[1]

    _, waits, _, serves = reader.follow("Drain a node")
    assert "Pod llama-cpp-rtx3090/llama-swap-" in waits
    assert "were unschedulable" in waits
    assert "deployed; all 2 endpoints serve" in serves

    house(reader, ("t4",))
    refused, deployed = reader.follow("Remove a pool")
    *_, removal = reader.page.section("Remove a pool")
    addresses = re.findall(r"kubernetes_\S+", removal.text)
    assert [address for address in addresses if address not in refused] == []
    assert SERVES in deployed
    assert api.get(NAMESPACE) is None
