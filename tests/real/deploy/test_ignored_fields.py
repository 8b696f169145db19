"""Fields that somebody else writes, with the real provider and drift."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.ignored_fields import IgnoredField
from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.commands.drift import cluster as drift_of_cluster
from ops.commands.drift.declared import declared_of
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.changed_fields import changed_paths
from ops.terraform.run import Terraform
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import SETTINGS
from tests.real.deploy.applied import apply, finds_changes

Json = dict[str, Any]
Synth = Callable[..., Json]

pytestmark = pytest.mark.usefixtures("running_provider")

DEPLOYMENT = "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap"
UPKEEP = "/apis/batch/v1/namespaces/llama-cpp/cronjobs/model-upkeep"
SERVICE = "/api/v1/namespaces/llama-cpp/services/llama-swap"
NAMESPACE = "/api/v1/namespaces/llama-cpp"
ADMISSION = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolic"
PULL_POLICY = "spec.template.spec.containers[llama-swap].imagePullPolicy"


def ignored(kind: str, name: str, path: str) -> IgnoredField:
    return IgnoredField(kind=kind, name=name, path=path, reason="a webhook writes it")


def annotated(name: str) -> Document:
    return {"metadata": {"annotations": {name: "by somebody else"}}}


IGNORED = (
    ignored("Deployment", "llama-swap", PULL_POLICY),
    ignored("Deployment", "llama-swap", "spec.template.spec.tolerations"),
    ignored("Deployment", "llama-swap", "spec.template.metadata.annotations[example.com/scanned]"),
    ignored("Deployment", "llama-swap", "metadata.annotations[example.com/owner]"),
    ignored("CronJob", "model-upkeep", "spec.successfulJobsHistoryLimit"),
    ignored("Service", "llama-swap", "metadata.annotations"),
    ignored("Namespace", "llama-cpp", "metadata.labels.team"),
)


class Stack:
    """The stack, deployed once."""

    def __init__(self, directory: Path, synth: Synth, api: KubeApi) -> None:
        self._directory = directory
        self._synth = synth
        self.api = api
        self.terraform = Terraform(directory)

    def declare(self, ignored: tuple[IgnoredField, ...], **changes: Any) -> None:
        document = self._synth(ignored_fields=ignored, **changes)
        del document["terraform"]["backend"]
        (self._directory / "cdk.tf.json").write_text(json.dumps(document))

    def patch(self, path: str, body: Document) -> None:
        status, answer = self.api.request("PATCH", f"{path}?fieldManager=webhook", body)
        assert status == 200, answer

    def planned(self) -> set[str]:
        """The fields that a deploy would change."""
        return {
            f"{change.kind} {path}"
            for change in self.terraform.changes()
            if change.action != "no-op"
            for path in changed_paths(change).values()
        }

    def drift(self, ignored: tuple[IgnoredField, ...]) -> tuple[list[str], list[str]]:
        """The fields that differ, and the remarks on those that may."""
        declared = declared_of(
            replace(SETTINGS, ignored_fields=ignored),
            DECLARATION,
            self._synth(),
            directory=self._directory,
        )
        look = drift_of_cluster.look(declared, self.api)
        return [finding.field for finding in look.findings], [
            note for note in look.notes if "ignored: " in note
        ]


@pytest.fixture(scope="module")
def stack(
    cluster: EmbeddedCluster, synth: Synth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with pytest.MonkeyPatch.context() as patch, KubeApi(target) as api:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        stack = Stack(tmp_path_factory.mktemp("stack"), synth, api)
        stack.declare(())
        stack.terraform.init()
        apply(stack.terraform)
        yield stack


def test_fields_of_others_are_left_with_the_setting_alone(stack: Stack) -> None:
    live: Json = stack.api.get(DEPLOYMENT) or {}
    spec = live["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    pod = {
        "containers": [container | {"imagePullPolicy": "Always"}],
        "tolerations": [*spec["tolerations"], {"key": "added", "operator": "Exists"}],
    }
    template = annotated("example.com/scanned") | {"spec": pod}
    stack.patch(DEPLOYMENT, annotated("example.com/owner") | {"spec": {"template": template}})
    stack.patch(UPKEEP, {"spec": {"successfulJobsHistoryLimit": 3}})
    stack.patch(SERVICE, annotated("scraped"))
    stack.patch(NAMESPACE, {"metadata": {"labels": {"team": "vision"}}})

    assert stack.planned() == {
        "CronJob spec.successfulJobsHistoryLimit",
        "Deployment metadata.annotations[example.com/owner]",
        "Deployment spec.template.metadata.annotations[example.com/scanned]",
        f"Deployment {PULL_POLICY}",
        "Deployment spec.template.spec.tolerations",
        "Namespace metadata.labels[team]",
        "Service metadata.annotations[scraped]",
    }
    differing = [
        PULL_POLICY,
        "spec.successfulJobsHistoryLimit",
        "spec.template.spec.tolerations[1]",
    ]
    fields, remarks = stack.drift(())
    assert (sorted(fields), remarks) == (sorted(differing), [])

    stack.declare(IGNORED)
    assert stack.planned() == set()
    fields, remarks = stack.drift(IGNORED)
    assert fields == []
    assert sorted(remark.split(" is ")[0].split(": ")[1] for remark in remarks) == sorted(
        differing
    )
    assert all("(webhook, 20" in remark for remark in remarks)
    assert all(remark.endswith("ignored: a webhook writes it") for remark in remarks)

    # A deploy of something else leaves them too.
    stack.declare(IGNORED, pre_stop_s=7)
    apply(stack.terraform)
    now: Json = stack.api.get(DEPLOYMENT) or {}
    (container,) = now["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "Always"
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["/bin/sleep", "7"]
    assert now["metadata"]["annotations"]["example.com/owner"] == "by somebody else"


@contextmanager
def admission_changes_the_pull_policy(api: KubeApi) -> Iterator[None]:
    """Let the API server change every Deployment that is written, as a webhook would."""
    name = "pull-always"
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    }
    at = "/spec/template/spec/containers/0/imagePullPolicy"
    expression = f'[JSONPatch{{op: "replace", path: "{at}", value: "Always"}}]'
    policy = {
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [rule]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        },
    }
    binding = {"metadata": {"name": name}, "spec": {"policyName": name}}
    try:
        for path, body in ((f"{ADMISSION}ies", policy), (f"{ADMISSION}ybindings", binding)):
            status, answer = api.request("POST", path, body)
            assert status == 201, answer
        yield
    finally:
        for path in (f"{ADMISSION}ybindings", f"{ADMISSION}ies"):
            api.request("DELETE", f"{path}/{name}")


def test_a_field_that_admission_changes_at_every_write(stack: Stack) -> None:
    def is_changed() -> bool:
        """Write the Deployment as it would be with its own policy, and look."""
        live: Json = stack.api.get(DEPLOYMENT) or {}
        template = live["spec"]["template"]
        template["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
        status, answer = stack.api.request(
            "PATCH", f"{DEPLOYMENT}?dryRun=All", {"spec": {"template": template}}
        )
        assert status == 200, answer
        (container,) = answer["spec"]["template"]["spec"]["containers"]
        return bool(container["imagePullPolicy"] == "Always")

    with admission_changes_the_pull_policy(stack.api):
        stack.declare((), pre_stop_s=8)
        deadline = time.monotonic() + 30
        # The API server takes a moment before it obeys the policy.
        while not is_changed():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        apply(stack.terraform)
        assert stack.planned() == {f"Deployment {PULL_POLICY}"}  # After every deploy.
        stack.declare(IGNORED[:1], pre_stop_s=9)
        apply(stack.terraform)
        assert not finds_changes(stack.terraform)
