"""A deploy with each tool: apply, an empty plan, one changed model, destroy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.cli import main
from ops.cluster import patience
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.commands.deploy.run import verify
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.terraform.program import VARIABLE, Program, Tool
from ops.terraform.run import Terraform
from tests.declaration.registry import REGISTRY
from tests.declaration.resources import RESOURCES
from tests.real.deploy import running_provider
from tests.real.deploy.applied import apply
from tests.real.deploy.tools import BOTH_TOOLS, program_of, provider_of
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.window.shared_card import Card

Synth = Callable[..., dict[str, Any]]
Address = Callable[[Tool], str]


@pytest.fixture(autouse=True)
def empty(
    tool: Program, tmp_path_factory: pytest.TempPathFactory, shared_cluster: SharedCluster
) -> Iterator[None]:
    """Remove all objects: the next test deploys the same names with another state."""
    provider_of(tool, tmp_path_factory.mktemp("provider"))
    yield
    shared_cluster.empty()


def changed_types(terraform: Terraform) -> dict[str, list[str]]:
    """Return a plan's actions by resource type."""
    terraform.checked("plan", "-input=false", "-out=plan")
    changes = json.loads(terraform.checked("show", "-json", "plan"))["resource_changes"]
    return {
        f"{change['type']}.{change['name'].split('_')[0]}": change["change"]["actions"]
        for change in changes
        if change["change"]["actions"] != ["no-op"]
    }


def write(directory: Path, document: dict[str, Any]) -> None:
    document["terraform"]["backend"]["pg"]["schema_name"] = "way"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cdk.tf.json").write_text(json.dumps(document))


def scale(cluster: EmbeddedCluster, replicas: int) -> None:
    """Scale the endpoint, as somebody does by kubectl."""
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as api:
        Card(api).scale(("llama-cpp", "llama-swap"), replicas)


def test_apply_change_one_model_destroy(
    synth: Synth,
    apart: Path,
    tool: Program,
    provider_address: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(running_provider.VARIABLE, provider_address(tool.tool))
    write(apart, synth(prevent_destroy=False))
    terraform = Terraform(apart)
    terraform.init()
    assert terraform.push_empty_state() is True
    apply(terraform)
    verify(terraform)

    first, *others = REGISTRY
    # The exporter's plan has the models and what they take.
    exporter = {
        "kubernetes_config_map_v1.exporter": ["update"],
        "kubernetes_deployment_v1.exporter": ["update"],
    }
    write(apart, synth(models=(replace(first, context=4096), *others), prevent_destroy=False))
    assert changed_types(terraform) == exporter | {
        "kubernetes_config_map_v1.llama-swap": ["update"],
        "kubernetes_deployment_v1.llama-swap": ["update"],
    }

    write(apart, synth(models=tuple(others), prevent_destroy=False))
    assert changed_types(terraform) == exporter | {
        "kubernetes_config_map_v1.llama-swap": ["update"],
        "kubernetes_config_map_v1.model-warm-up": ["update"],
        "kubernetes_deployment_v1.llama-swap": ["update"],
        "kubernetes_cron_job_v1.model-upkeep": ["update"],
        "kubernetes_config_map_v1.model-download": ["delete", "create"],
        "kubernetes_job_v1.model-download": ["delete", "create"],
    }
    apply(terraform)
    verify(terraform)

    destroyed = terraform.run("destroy", "-auto-approve", "-input=false", "-no-color")
    count = len(RESOURCES)
    assert f"Destroy complete! Resources: {count} destroyed." in destroyed.stdout, destroyed.stderr


@BOTH_TOOLS
def test_deploy_then_plan_and_destroy_refused(
    apart: Path,
    tool: Program,
    cluster: EmbeddedCluster,
    provider_address: Address,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "_PATIENCE_S", 0.5)
    deployed = main(["deploy", "--yes"])
    output = capfd.readouterr()
    assert deployed == 0, output.err
    assert f"Apply complete! Resources: {len(RESOURCES)} added" in output.out
    plan = f"Plan for llama-cpp: {len(RESOURCES)} to add, 0 to change, 0 to replace, 0 to remove"
    assert plan in output.out
    assert "deployed; " in output.out

    # What the tool starts and stops itself it has by now done for each of its commands.
    monkeypatch.setenv(running_provider.VARIABLE, provider_address(tool.tool))
    again = main(["deploy", "--yes"])
    output = capfd.readouterr()
    assert again == 0, output.err
    assert "0 to add, 0 to change, 0 to replace, 0 to remove" in output.out
    assert "stored an empty state" not in output.out
    assert output.out.endswith("- deployed; the endpoint serves\n")

    if tool.tool == "terraform":  # The tool does not matter here.
        scale(cluster, 0)
        assert main(["deploy", "--yes"]) == 4
        output = capfd.readouterr()
        assert "error: deployed, but somebody stopped it: Deployment llama-swap" in output.err
        scale(cluster, 1)

    # What is not committed yet is a change to the base, and none to the cluster.
    assert main(["plan", "--base", "HEAD", "--refresh", "--json"]) in (0, 2)
    planned = json.loads(capfd.readouterr().out)
    assert planned["cluster"]["changes"] == []

    refused = Terraform(apart).run("destroy", "-auto-approve", "-input=false", "-no-color")
    assert refused.returncode == 1
    assert "lifecycle.prevent_destroy" in refused.stderr

    other: Tool = "tofu" if tool.tool == "terraform" else "terraform"
    try:
        monkeypatch.setenv(VARIABLE, str(program_of(other).path))
    except OpsError:
        return  # This machine has no Terraform to be refused.
    for command in (["deploy", "--yes"], ["plan", "--base", "HEAD", "--refresh"]):
        assert main(command) == 1
        assert f"{tool.product} wrote this state" in capfd.readouterr().err
