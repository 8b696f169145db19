"""Who owns the card outside a window, on the real scheduler and controllers.

The tenant has the card whenever it wants it; the endpoint takes an idle card and gives it up.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.real.window.shared_card import SWAP, Card
from tests.real.window.window_process import ML, WHILE_OPEN, Run

ROUNDS = int(os.environ.get("OWNER_ROUNDS", "2"))
"""How often a tenant loses its pod in each of the eight cases."""


def restart(card: Card) -> None:
    """Do what `kubectl rollout restart` does."""
    moment = {"kubectl.kubernetes.io/restartedAt": f"{time.time()}"}
    card.patch(ML, {"spec": {"template": {"metadata": {"annotations": moment}}}})


def delete_pods(card: Card) -> None:
    for pod in card.pods(ML):
        name = pod["metadata"]["name"]
        card.api.request("DELETE", f"/api/v1/namespaces/{ML[0]}/pods/{name}")


def beside_a_waiting_endpoint(card: Card, run: Run) -> None:
    card.until(card.as_at_start)


def beside_an_endpoint_that_serves(card: Card, run: Run) -> None:
    card.scale(ML, 0)
    card.until(lambda: card.ready(SWAP) == 1)
    card.scale(ML, 1)


def after_a_window(card: Card, run: Run) -> None:
    code, output = run.finish()
    assert code == 0, output


def while_a_window_is_restored(card: Card, run: Run) -> None:
    window = replace(run, command=WHILE_OPEN).start()
    card.until(lambda: "running sh" in run.output())
    window.terminate()
    card.until(lambda: "restoring immich/" in run.output())


@pytest.mark.parametrize("lose", [restart, delete_pods])
@pytest.mark.parametrize(
    "begin",
    [
        beside_a_waiting_endpoint,
        beside_an_endpoint_that_serves,
        after_a_window,
        while_a_window_is_restored,
    ],
)
def test_a_tenant_that_restarts_has_the_card_again(
    begin: Callable[[Card, Run], None], lose: Callable[[Card], None], card: Card, run: Run
) -> None:
    for _ in range(ROUNDS):
        begin(card, run)
        before = {pod["metadata"]["name"] for pod in card.pods(ML)}
        lose(card)

        def is_new(before: set[str] = before) -> bool:
            pods = {pod["metadata"]["name"] for pod in card.pods(ML)}
            return not pods & before and card.as_at_start()

        card.until(is_new)


def test_a_window_by_hand_needs_nothing_of_ours(card: Card) -> None:
    """Two `kubectl scale` commands, nothing else."""
    card.scale(ML, 0)
    card.until(lambda: card.ready(SWAP) == 1)
    card.scale(ML, 1)
    card.until(card.as_at_start)


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_tenant_that_is_scaled_up_ends_the_window(card: Card, run: Run, replicas: int) -> None:
    window = replace(run, command=("sleep", "60")).start()
    card.until(lambda: "running sleep" in run.output())
    card.scale(ML, replicas)
    window.join(30)
    assert window.exitcode == 124, run.output()
    assert f"immich/immich-machine-learning was scaled to {replicas} by" in run.output()
    assert "so the window ends: SIGTERM to sleep" in run.output()
    assert card.lease() is None
    assert (card.replicas(ML), card.replicas(SWAP)) == (replicas, 1)
    card.until(lambda: card.ready(ML) == 1)


def test_a_held_window_ends_too(card: Card, run: Run) -> None:
    window = replace(run, command=()).start()
    card.until(lambda: "Ctrl-C ends the window" in run.output())
    card.scale(ML, 1)
    window.join(30)
    assert window.exitcode == 124, run.output()
    assert "so the window ends" in run.output()
    card.until(card.as_at_start)


def test_a_tenant_that_is_scaled_while_the_window_opens_keeps_the_card(
    card: Card, run: Run
) -> None:
    """The endpoint cannot start, so the window is still opening when the owner decides."""
    card.cordon()
    try:
        window = run.start()
        card.until(lambda: card.replicas(ML) == 0 and not card.pods(ML))
        card.scale(ML, 2)
        card.until(lambda: "the window is not open" in run.output())
    finally:
        card.cordon(False)
    window.join(30)
    assert window.exitcode == 1
    assert "the window is not open: immich/immich-machine-learning was scaled to 2" in run.output()
    assert card.replicas(ML) == 2


@pytest.mark.parametrize("replicas", [0, 3])
def test_the_endpoint_returns_to_the_replicas_that_were_found(
    card: Card, run: Run, replicas: int
) -> None:
    card.scale(SWAP, replicas)
    card.until(lambda: len(card.pods(SWAP)) == replicas)
    code, output = run.finish()
    assert code == 0, output
    assert (card.replicas(ML), card.replicas(SWAP)) == (1, replicas)
    assert card.ready(ML) == 1


@pytest.fixture
def stateful_set(card: Card) -> Iterator[str]:
    """A second tenant, which was scaled to 2 by hand."""
    sets = f"/apis/apps/v1/namespaces/{ML[0]}/statefulsets"
    labels = {"app": "transcoder"}
    body: dict[str, Any] = {
        "metadata": {"name": "transcoder"},
        "spec": {
            "replicas": 2,
            "serviceName": "transcoder",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "a", "image": "a"}],
                },
            },
        },
    }
    status, answer = card.api.request("POST", sets, body)
    assert status == 201, answer
    path = f"{sets}/transcoder"
    card.until(lambda: (card.api.get(path) or body).get("status", {}).get("readyReplicas") == 2)
    yield path
    card.api.request("DELETE", path)


def test_a_tenant_may_be_a_stateful_set(card: Card, run: Run, stateful_set: str) -> None:
    window = replace(run, stateful_set="transcoder", command=WHILE_OPEN).start()
    card.until(lambda: "running sh" in run.output())
    assert (card.api.get(stateful_set) or {})["spec"]["replicas"] == 0
    assert not card.pods((ML[0], "transcoder"))
    assert [(each.kind, each.replicas, each.ready) for each in card.record().tenants] == [
        ("Deployment", 1, 1),
        ("StatefulSet", 2, 2),
    ]
    assert run.end(window) == 128 + signal.SIGTERM, run.output()
    assert (card.api.get(stateful_set) or {})["spec"]["replicas"] == 2
    assert card.ready((ML[0], "transcoder")) == 2
    card.until(card.as_at_start)


def test_an_autoscaler_of_a_tenant_is_named(card: Card, run: Run) -> None:
    scalers = f"/apis/autoscaling/v2/namespaces/{ML[0]}/horizontalpodautoscalers"
    for name, target in (("faces", ML[1]), ("another", "immich-server")):
        body = {
            "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                "minReplicas": 1,
                "maxReplicas": 2,
            },
        }
        status, answer = card.api.request("POST", scalers, body)
        assert status == 201, answer
    try:
        code, output = run.finish()
    finally:
        card.api.request("DELETE", scalers)
    assert code == 0, output
    tenant = "/".join(ML)
    assert f"HorizontalPodAutoscaler faces scales {tenant}; if it does so during" in output
    assert "another" not in output


def test_a_gitops_controller_that_sets_replicas_is_named(card: Card, run: Run) -> None:
    path = f"/apis/apps/v1/namespaces/{ML[0]}/deployments/{ML[1]}"
    for replicas in (2, 1):
        change = {"spec": {"replicas": replicas}}
        card.api.request("PATCH", f"{path}?fieldManager=argocd-controller", change)
    code, output = run.finish()
    assert code == 0, output
    assert f"argocd-controller scales {'/'.join(ML)}; if it does so during" in output


def test_a_controller_that_scales_a_tenant_up_ends_the_window_by_name(
    card: Card, run: Run
) -> None:
    path = f"/apis/apps/v1/namespaces/{ML[0]}/deployments/{ML[1]}"
    window = replace(run, command=("sleep", "60")).start()
    card.until(lambda: "running sleep" in run.output())
    change = {"spec": {"replicas": 1}}
    card.api.request("PATCH", f"{path}?fieldManager=kustomize-controller", change)
    window.join(30)
    assert window.exitcode == 124, run.output()
    assert "was scaled to 1 by kustomize-controller, so the window ends" in run.output()
    card.until(card.as_at_start)
