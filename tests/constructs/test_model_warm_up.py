"""The init container that reads the models into the page cache."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llama_swap_config.lock.locked import LockedModel
from tests.conftest import Synth
from tests.constructs.synthesized import resources
from tests.declaration.registry import REGISTRY

Json = dict[str, Any]


@pytest.fixture
def warm_up(deployment: Json) -> Json:
    (only,) = deployment["spec"]["template"]["spec"]["init_container"]
    container: Json = only
    return container


def test_the_memory_limit_covers_the_largest_model(
    warm_up: Json, locked: tuple[LockedModel, ...]
) -> None:
    limit_mib = int(warm_up["resources"]["limits"]["memory"].removesuffix("Mi"))
    largest = max(model.size_bytes for model in locked)
    assert largest < 0.9 * limit_mib * 2**20
    assert limit_mib * 2**20 < 1.2 * largest + 2**29
    assert warm_up["args"] == [
        *("--plan", "/warm-up/warm-plan.json", "--models", "/models", "--wait-s", "3600")
    ]
    assert all(mount["read_only"] for mount in warm_up["volume_mount"])


def test_models_are_warmed_in_the_registrys_order(deployed: dict[str, Json], synth: Synth) -> None:
    def order(document: dict[str, Json]) -> list[str]:
        plan = json.loads(document["config_map_v1.model-warm-up"]["data"]["warm-plan.json"])
        return [model["id"] for model in plan["models"]]

    assert order(deployed) == [model.id for model in REGISTRY]
    assert order(resources(synth(models=REGISTRY[::-1]))) == [model.id for model in REGISTRY[::-1]]


def test_the_progress_deadline_covers_the_wait(deployment: Json, synth: Synth) -> None:
    assert deployment["spec"]["progress_deadline_seconds"] == 3600 + 600
    cold = resources(synth(warm_wait_s=None))["deployment_v1.llama-swap"]
    assert cold["spec"]["progress_deadline_seconds"] == 600


def test_the_warm_up_can_be_disabled(synth: Synth) -> None:
    stack = resources(synth(warm_wait_s=None))
    assert "config_map_v1.model-warm-up" not in stack
    template = stack["deployment_v1.llama-swap"]["spec"]["template"]
    assert "init_container" not in template["spec"]
    assert list(template["metadata"]["annotations"]) == ["checksum/config"]
