"""Three pools in a real control plane: each pod is on the node of its pool, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.sharing import Alone
from ops.cluster import environment, patience
from ops.cluster.api import Document, KubeApi
from ops.cluster.rollout import Outcome
from ops.cluster.server_side_apply import Cluster
from ops.commands.deploy.ending import NotServingError, last_line
from ops.commands.deploy.run import follow
from ops.commands.up.run import up
from ops.commands.up.summary import show_deployed
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from ops.report.terminal import CONSOLE
from ops.terraform.manifests import Manifest, manifests
from tests.declaration.pools import HOUSED, NODES, POOLED, POOLS, RTX3090, T4, TWO_CARDS
from tests.real.embedded.production_file import declare_production
from tests.real.embedded.up_apart import up_apart

GPU = "nvidia.com/gpu"
SERVE = "deployed; all 3 endpoints serve"
SETTINGS_OF_THREE = replace(POOLED, sharing=Alone())
NAMESPACES = {pool.name: pool.settings.namespace for pool in POOLS}


@pytest.fixture(scope="module")
def deployed(
    cluster: EmbeddedCluster,
    kube: Cluster,
    api: KubeApi,
    synth: Callable[..., dict[str, Any]],
) -> tuple[Manifest, ...]:
    """The three pools, each on its node, all of which serve."""
    embedded.declare(cluster, POOLED)
    objects = manifests(
        synth(
            HOUSED,
            pool=POOLED.pool,
            pools=POOLED.pools,
            gpu=POOLED.gpu,
            sharing=Alone(),
        )
    )
    kube.apply(objects)
    assert last_line(look(api, objects), wait_s=0) == SERVE
    return objects


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe a failure at once: nothing here goes away by itself."""
    monkeypatch.setattr(patience, "_PATIENCE_S", 0)


def look(api: KubeApi, objects: Sequence[Manifest]) -> Outcome:
    """What a deploy of these objects says of them."""
    return follow(api, objects, SETTINGS_OF_THREE, wait_s=30, say=print)


def why_not(outcome: Outcome) -> str:
    """The line of a deploy that has failed."""
    with pytest.raises(NotServingError) as failed:
        last_line(outcome, wait_s=0)
    return str(failed.value)


def serving(api: KubeApi, pool: str) -> Document:
    """The serving pod of a pool that is not being deleted."""
    listed = api.get(f"/api/v1/namespaces/{NAMESPACES[pool]}/pods") or {}
    (found,) = (
        pod
        for pod in listed["items"]
        if pod["metadata"]["labels"].get("app.kubernetes.io/name") == "llama-swap"
        and "deletionTimestamp" not in pod["metadata"]
    )
    return dict(found)


def cards_of(pod: Document) -> str:
    (container,) = pod["spec"]["containers"]
    return str(container["resources"]["limits"][GPU])


def scale(api: KubeApi, pool: str, replicas: int) -> None:
    path = f"/apis/apps/v1/namespaces/{NAMESPACES[pool]}/deployments/llama-swap"
    code, answer = api.request("PATCH", path, {"spec": {"replicas": replicas}})
    assert code == 200, answer


def cordon(api: KubeApi, node: str, *, unschedulable: bool) -> None:
    code, answer = api.request(
        "PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": unschedulable}}
    )
    assert code == 200, answer


def evict(api: KubeApi, pod: Document) -> None:
    """Let the API server delete a pod as `kubectl drain` does."""
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    code, answer = api.request("POST", path, eviction)
    assert code == 201, answer


@pytest.mark.usefixtures("deployed")
def test_each_pod_has_the_cards_of_the_node_of_its_pool(api: KubeApi) -> None:
    found = {name: serving(api, name) for name in NAMESPACES}
    assert {name: pod["spec"]["nodeName"] for name, pod in found.items()} == NODES
    assert {name: cards_of(pod) for name, pod in found.items()} == {
        T4: "1",
        RTX3090: "1",
        TWO_CARDS: "2",
    }


@pytest.mark.usefixtures("at_once")
def test_a_drained_pod_waits_for_its_own_node(
    deployed: tuple[Manifest, ...], api: KubeApi
) -> None:
    # A free card of the same resource, on a node without another pod.
    scale(api, T4, 0)
    cordon(api, NODES[RTX3090], unschedulable=True)
    evict(api, serving(api, RTX3090))
    try:
        said = why_not(look(api, deployed))
        assert f"Pod {NAMESPACES[RTX3090]}/llama-swap-" in said
        assert "1 node(s) were unschedulable" in said
        assert "2 node(s) didn't match Pod's node affinity/selector" in said
    finally:
        cordon(api, NODES[RTX3090], unschedulable=False)
        scale(api, T4, 1)
    assert last_line(look(api, deployed), wait_s=0) == SERVE
    assert serving(api, RTX3090)["spec"]["nodeName"] == NODES[RTX3090]


@pytest.mark.usefixtures("at_once")
def test_a_pod_whose_node_is_full_takes_no_card_of_another_pool(
    deployed: tuple[Manifest, ...], api: KubeApi
) -> None:
    scale(api, TWO_CARDS, 0)
    scale(api, RTX3090, 2)
    try:
        said = why_not(look(api, deployed))
        assert f"1 Insufficient {GPU}" in said
        # Whoever has a card of another node does not hold this one.
        (holders,) = re.findall(r"selector; (.*) holds the card", said)
        assert holders.startswith(f"{NAMESPACES[RTX3090]}/llama-swap-")
        assert "llama-cpp/llama-swap" not in holders
    finally:
        scale(api, RTX3090, 1)
        scale(api, TWO_CARDS, 1)
    assert last_line(look(api, deployed), wait_s=0) == SERVE


def test_up_deploys_all_pools_and_serves_the_first_one(
    open_directory: Path,
    tmp_path: Path,
    synth: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare_production(monkeypatch, synth, SETTINGS_OF_THREE, HOUSED)
    state_dir = open_directory / "pools-up" / "state"
    with up_apart(tmp_path, state_dir):
        deployed = up(state_dir, settings=SETTINGS_OF_THREE, say=print)
        show_deployed(CONSOLE, deployed)
        with KubeApi(environment.kube_target()) as api:
            nodes = {name: serving(api, name)["spec"]["nodeName"] for name in NAMESPACES}
    assert nodes == NODES
    assert last_line(deployed.outcome, wait_s=0) == SERVE
    first = ("qwen3vl-8b", "qwen3vl-4b")
    assert deployed.served.models == first
    assert tuple(answer.model for answer in deployed.answers) == first
    shown = " ".join(capsys.readouterr().out.split())
    assert "node k8s-node2 has one NVIDIA-GeForce-RTX-3090; node k8s-node3 has 2 Tesla-T4" in shown
    assert "ends at the front end above, which serves pool t4 alone." in shown
    for pool, namespace in NAMESPACES.items():
        assert f"Models of pool {pool}" in shown
        assert f"llama-swap.{namespace}.svc.cluster.local:8080/v1" in shown
    assert "ops serve --pool two-cards` serves its models" in shown
