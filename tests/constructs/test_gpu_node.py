"""The GPU node as the settings describe it: labels, taints, RuntimeClass and device."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import yaml

from llama_swap_config.cluster.pod_resources import Taint
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from tests.conftest import Synth
from tests.constructs.synthesized import pods, resources, unescaped
from tests.declaration.settings import SETTINGS

Json = dict[str, Any]

GPU = replace(
    SETTINGS.gpu,
    runtime_class="nvidia",
    node_selector={"feature.node.kubernetes.io/pci-10de.present": "true"},
    taints=(
        Taint(key="nvidia.com/gpu"),
        Taint(key="dedicated", value="vision", effect="NoExecute"),
        Taint(key="dedicated", value="vision"),
    ),
)


@pytest.fixture(scope="module")
def stack(synth: Synth) -> Json:
    return synth(gpu=GPU)


def test_only_the_serving_pod_has_the_runtime_class(stack: Json) -> None:
    classes = {name: pod.get("runtime_class_name") for name, pod in pods(stack).items()}
    assert classes.pop("llama-swap") == "nvidia"
    assert set(classes.values()) == {None}


def test_the_serving_pod_is_placed_by_the_labels_alone(stack: Json) -> None:
    pod = pods(stack)["llama-swap"]
    assert pod["node_selector"] == {"feature.node.kubernetes.io/pci-10de.present": "true"}


def test_every_pod_tolerates_each_taint_once_whatever_its_effect(stack: Json) -> None:
    for name, pod in pods(stack).items():
        assert pod["toleration"] == [
            {"key": "nvidia.com/gpu", "operator": "Exists"},
            {"key": "dedicated", "operator": "Exists"},
        ], name


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server"])
@pytest.mark.parametrize("device", ["CUDA1", "CUDA0,CUDA1", "none", None])
def test_the_device_is_that_of_the_settings(
    synth: Synth, front_end: str, device: str | None
) -> None:
    settings = LlamaSwapSettings(server=ServerSettings(device=device))
    data = unescaped(
        resources(synth(front_end=front_end, llama_swap=settings))["config_map_v1.llama-swap"][
            "data"
        ]
    )
    if front_end == "llama-swap":
        words = yaml.safe_load(data["llama-swap.yaml"])["macros"]["llama_server"].split()
        given = dict(itertools.pairwise(words)).get("--device")
    else:
        lines = data["router-preset.ini"].splitlines()
        given = next(
            (line.split(" = ")[1] for line in lines if line.startswith("device = ")), None
        )
    assert given == device
