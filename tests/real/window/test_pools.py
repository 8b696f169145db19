"""Windows of two pools: each borrows its own card and is restored by itself."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.pod_resources import HOSTNAME
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.embedded.cluster import EmbeddedCluster
from tests.real.window.shared_card import SWAP, Card
from tests.real.window.window_process import ML, WHILE_OPEN, Run

NODE = "k8s-node2"
SECOND = ("llama-cpp-second", SWAP[1])
FACES = ("photos", ML[1])
Json = dict[str, Any]


def create(api: KubeApi, path: str, document: Json) -> None:
    status, answer = api.request("POST", path, document)
    assert status == 201, answer


def copied(deployment: Json, namespace: str) -> Json:
    """Copy a Deployment to the second node, without volumes, which nobody provides there."""
    spec = copy.deepcopy(deployment["spec"])
    spec["replicas"] = 1
    pod = spec["template"]["spec"]
    pod["nodeSelector"] = {HOSTNAME: NODE}
    pod["volumes"] = []
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        container["volumeMounts"] = []
    metadata = {"name": deployment["metadata"]["name"], "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@pytest.fixture
def second(card: Card, cluster: EmbeddedCluster) -> Iterator[Card]:
    """A second node with a card, an endpoint that waits for it and a tenant that has it."""
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as api:
        found = Card(api, SECOND[0])
        node = api.get("/api/v1/nodes/k8s-node1")
        assert node is not None
        create(
            api,
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": NODE,
                    "annotations": {"kwok.x-k8s.io/node": "fake"},
                    "labels": {HOSTNAME: NODE},
                },
                "spec": {"taints": node["spec"]["taints"]},
                "status": {
                    name: node["status"][name]
                    for name in ("addresses", "daemonEndpoints", "capacity", "allocatable")
                },
            },
        )
        namespaces = [SECOND[0], FACES[0]]
        try:
            for namespace in namespaces:
                create(api, "/api/v1/namespaces", {"metadata": {"name": namespace}})
            for of, place in ((ML, FACES), (SWAP, SECOND)):
                path = f"/apis/apps/v1/namespaces/{place[0]}/deployments"
                create(api, path, copied(found.deployment(of), place[0]))
            # The tenant comes first or takes the card.
            found.until(lambda: found.ready(FACES) == 1)
            found.until(lambda: len(found.pods(SECOND)) == 1)
            yield found
        finally:
            for namespace in namespaces:
                api.request("DELETE", f"/api/v1/namespaces/{namespace}")
            api.request("DELETE", f"/api/v1/nodes/{NODE}")


def test_the_windows_of_two_pools_are_independent(
    card: Card, second: Card, run: Run, tmp_path: Path
) -> None:
    *shell, script = WHILE_OPEN
    first = replace(run, command=(*shell, f"echo of $LLAMA_SWAP_POOL.; {script}"))
    other = replace(
        first,
        log=tmp_path / "other",
        namespace=SECOND[0],
        tenants_in=FACES[0],
        pool="second",
    )
    window, other_window = first.start(), other.start()
    card.until(lambda: all("running sh" in it.output() for it in (first, other)))
    card.until(lambda: all("\nof " in it.output() for it in (first, other)))
    assert "\nof .\n" in first.output()
    assert "\nof second.\n" in other.output()
    assert (card.replicas(ML), second.replicas(FACES)) == (0, 0)
    assert (card.ready(SWAP), second.ready(SECOND)) == (1, 1)

    other_window.kill()
    other_window.join(20)
    second.age()
    code, text = replace(other, log=tmp_path / "restore", mode="restore").finish()
    assert code == 0, text
    second.until(lambda: second.ready(FACES) == 1)
    assert second.lease() is None
    # The first one still has its card.
    assert card.lease() is not None
    assert (card.replicas(ML), card.ready(SWAP)) == (0, 1)

    assert first.end(window) == 128 + signal.SIGTERM, first.output()
    card.until(card.as_at_start)
    assert (second.ready(FACES), second.ready(SECOND)) == (1, 0)
