"""Terraform beside a GPU window: what the window scaled is no change, and a deploy keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.cluster.api import KubeApi
from ops.commands.deploy.run import verify
from ops.terraform.run import Terraform
from tests.declaration.registry import REGISTRY
from tests.real.deploy.applied import apply, finds_changes

Synth = Callable[..., dict[str, Any]]

DEPLOYMENT = "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap"

pytestmark = pytest.mark.usefixtures("running_provider")


def replicas(api: KubeApi) -> int:
    deployment = api.get(DEPLOYMENT)
    assert deployment is not None
    number: int = deployment["spec"]["replicas"]
    return number


def write(directory: Path, document: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cdk.tf.json").write_text(json.dumps(document))


def test_window_is_no_change_and_a_deploy_keeps_its_scale(
    api: KubeApi, apart: Path, synth: Synth
) -> None:
    write(apart, synth(monitoring=None))
    terraform = Terraform(apart)
    terraform.init()
    terraform.push_empty_state()
    apply(terraform)
    verify(terraform)
    assert replicas(api) == 1

    status, _ = api.request("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 0}})
    assert status == 200
    assert not finds_changes(terraform)

    first, *others = REGISTRY
    write(apart, synth(models=(replace(first, context=4096), *others), monitoring=None))
    changed = {change.name for change in terraform.changes() if change.action != "no-op"}
    assert changed == {"llama-swap"}
    apply(terraform)
    verify(terraform)
    assert replicas(api) == 0
