"""No sentence of `plan --refresh` contradicts Terraform's own plan, with the real provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.cluster.api import Document, KubeApi
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.run import Terraform
from ops.terraform.verdict import judge
from tests.ops.commands.deploy.changes import deployed_before
from tests.ops.commands.plan.agreement import CASES, check, report
from tests.real.deploy.applied import apply

Json = dict[str, Any]
Synth = Callable[..., Json]

pytestmark = pytest.mark.usefixtures("running_provider")

DEPLOYMENT = "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap"
UPKEEP = "/apis/batch/v1/namespaces/llama-cpp/cronjobs/model-upkeep"
SERVICE = "/api/v1/namespaces/llama-cpp/services/llama-swap"


class Stack:
    """A directory of Terraform's, with its state beside the stack."""

    def __init__(self, directory: Path, document: Json) -> None:
        self._directory = directory
        self.write(document)
        self.terraform = Terraform(directory)
        self.terraform.init()

    def write(self, document: Json) -> None:
        document = document | {"terraform": {**document["terraform"]}}
        document["terraform"].pop("backend", None)
        (self._directory / "cdk.tf.json").write_text(json.dumps(document))

    def report(self, base: Json, head: Json) -> str:
        self.write(head)
        with self.terraform.saved_plan(lock=False) as plan:
            return report(base, head, judge(plan.changes, protected=plan.protected))


@pytest.fixture(scope="module")
def environment(cluster: EmbeddedCluster) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def nothing(environment: None, synth: Synth, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return Stack(tmp_path_factory.mktemp("nothing"), synth())


@pytest.fixture(scope="module")
def deployed(environment: None, synth: Synth, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = Stack(tmp_path_factory.mktemp("deployed"), synth())
    apply(stack.terraform)
    return stack


@pytest.mark.parametrize("name", CASES)
def test_a_plan_says_what_terraform_does(
    name: str, nothing: Stack, deployed: Stack, synth: Synth
) -> None:
    case = CASES[name]
    stack = nothing if case.state == "empty" else deployed
    check(case, stack.report(synth(**case.base), synth(**case.head)))


LOOKS: dict[str, tuple[str, Document, str]] = {
    "0 replicas": (DEPLOYMENT, {"spec": {"replicas": 0}}, "Terraform finds no change"),
    # The provider does not read it; `ops drift` does.
    "paused": (DEPLOYMENT, {"spec": {"paused": True}}, "Terraform finds no change"),
    "suspended": (
        UPKEEP,
        {"spec": {"suspend": True}},
        "CronJob model-upkeep: differs in the cluster although this branch does not touch it: "
        "spec.suspend.",
    ),
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_plan_of_a_changed_cluster(
    name: str, deployed: Stack, api: KubeApi, synth: Synth
) -> None:
    path, body, says = LOOKS[name]
    before = (api.get(path) or {})["spec"]
    assert api.request("PATCH", path, body)[0] == 200
    try:
        text = deployed.report(synth(), synth())
    finally:
        (field,) = body["spec"]
        assert api.request("PATCH", path, {"spec": {field: before.get(field)}})[0] == 200
    assert says in text, text


def test_a_missing_object(deployed: Stack, api: KubeApi, synth: Synth) -> None:
    assert api.request("DELETE", SERVICE)[0] == 200
    text = deployed.report(synth(), synth())
    apply(deployed.terraform)
    assert "1 to add, 0 to change" in text
    assert "is missing in the cluster although this branch does not add it" in text


def test_a_deploy_that_changes_a_paused_deployment_resumes_it(
    deployed: Stack, api: KubeApi, synth: Synth
) -> None:
    assert api.request("PATCH", DEPLOYMENT, {"spec": {"paused": True}})[0] == 200
    deployed.write(synth(pre_stop_s=9))
    apply(deployed.terraform)
    assert "paused" not in (api.get(DEPLOYMENT) or {})["spec"]


def test_a_stack_of_the_version_before(deployed: Stack, synth: Synth) -> None:
    """The comparison of the two versions is what Terraform plans, object by object."""
    before = deployed_before()
    deployed.write(before)
    apply(deployed.terraform)
    text = deployed.report(before, synth())
    assert "Terraform agrees with the comparison." in text, text
    assert "prevent_destroy" not in text
    assert "refuse" not in text
