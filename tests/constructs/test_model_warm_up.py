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
    found: Json = only
    return found


def test_models_are_warmed_where_they_are_served_under_a_limit_that_holds_the_largest(
    warm_up: Json, locked: tuple[LockedModel, ...]
) -> None:
    limit_mib = int(warm_up["resources"]["limits"]["memory"].removesuffix("Mi"))
    largest = max(each.size_bytes for each in locked)
    assert largest < 0.9 * limit_mib * 2**20
    assert limit_mib * 2**20 < 1.2 * largest + 2**29
    assert warm_up["args"] == [
        *("--plan", "/warm-up/warm-plan.json", "--models", "/models", "--wait-s", "3600")
    ]
    assert all(each["read_only"] for each in warm_up["volume_mount"])


def test_the_registrys_order_is_the_order_of_warming(
    deployed: dict[str, Json], synth: Synth
) -> None:
    def order(document: dict[str, Json]) -> list[str]:
        plan = json.loads(document["config_map_v1.model-warm-up"]["data"]["warm-plan.json"])
        return [model["id"] for model in plan["models"]]

    assert order(deployed) == [model.id for model in REGISTRY]
    assert order(resources(synth(models=REGISTRY[::-1]))) == [model.id for model in REGISTRY[::-1]]


def test_a_pod_that_still_waits_for_its_models_is_not_called_stuck(
    deployment: Json, synth: Synth
) -> None:
    assert deployment["spec"]["progress_deadline_seconds"] == 3600 + 600
    cold = resources(synth(warm_wait_s=None))["deployment_v1.llama-swap"]
    assert cold["spec"]["progress_deadline_seconds"] == 600


def test_the_warm_up_can_be_left_out(synth: Synth) -> None:
    found = resources(synth(warm_wait_s=None))
    assert "config_map_v1.model-warm-up" not in found
    template = found["deployment_v1.llama-swap"]["spec"]["template"]
    assert "init_container" not in template["spec"]
    assert list(template["metadata"]["annotations"]) == ["checksum/config"]
