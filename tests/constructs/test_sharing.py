"""Who owns the card: priority, resource and CronJob of each way to share it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.sharing import Alone, AtOnce, Sharing
from llama_swap_config.fit.card import CoTenant
from tests.conftest import Synth
from tests.constructs.synthesized import resources
from tests.declaration.settings import SETTINGS

Json = dict[str, Any]

AT_ONCE = AtOnce(co_tenants=(CoTenant(name="immich-ml", peak_mib=2000),), slices=4, request=2)


def pod(stack: Json) -> Json:
    spec: Json = stack["deployment_v1.llama-swap"]["spec"]["template"]["spec"]
    return spec


def gpu_slices(stack: Json) -> dict[str, str]:
    (container,) = pod(stack)["container"]
    asked: dict[str, dict[str, str]] = container["resources"]
    found = {
        (kind, name): count
        for kind, of_kind in asked.items()
        for name, count in of_kind.items()
        if "nvidia" in name
    }
    ((_, name),) = {(count, name) for (_, name), count in found.items()}
    assert {kind for kind, _ in found} == {"requests", "limits"}
    return {name: found["limits", name]}


def test_by_window_every_other_pod_displaces_the_endpoint(production: Json) -> None:
    stack = resources(production)
    priority = stack["priority_class_v1.llama-cpp-gives-way"]
    assert pod(stack)["priority_class_name"] == priority["metadata"]["name"]
    assert priority["value"] == -1000
    assert priority["preemption_policy"] == "Never"
    assert not priority.get("global_default")


def test_by_window_the_endpoint_waits_at_its_replicas(production: Json) -> None:
    assert resources(production)["deployment_v1.llama-swap"]["spec"]["replicas"] == "1"


@pytest.mark.parametrize("sharing", [Alone(), AT_ONCE], ids=["alone", "at once"])
def test_where_nobody_lends_the_card_there_is_no_window(sharing: Sharing, synth: Synth) -> None:
    document = synth(sharing=sharing)
    stack = resources(document)
    assert "priority_class_name" not in pod(stack)
    assert not [name for name in stack if "gpu-window" in name or name.startswith("priority")]


def test_at_once_the_pod_requests_its_slices_of_the_declared_resource(synth: Synth) -> None:
    gpu = replace(SETTINGS.gpu, resource="nvidia.com/gpu.shared")
    assert gpu_slices(resources(synth(sharing=AT_ONCE, gpu=gpu))) == {"nvidia.com/gpu.shared": "2"}


def test_otherwise_the_pod_requests_the_card(production: Json, synth: Synth) -> None:
    assert gpu_slices(resources(production)) == {"nvidia.com/gpu": "1"}
    assert gpu_slices(resources(synth(sharing=Alone()))) == {"nvidia.com/gpu": "1"}
