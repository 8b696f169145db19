"""What a plan of Terraform's says of drift."""

from __future__ import annotations

from typing import Any

from ops.commands.drift.declared import Declared
from ops.commands.drift.terraform import change_findings
from ops.terraform.changes import read_changes


def change(actions: list[str], before: Any, after: Any, kind: str) -> dict[str, Any]:
    return {
        "address": f"{kind}.x",
        "type": kind,
        "name": "x",
        "change": {"actions": actions, "before": before, "after": after},
    }


def test_a_rename_in_a_plan_is_a_removal_and_a_creation(declared: Declared) -> None:
    plan = [
        change(
            ["delete", "create"],
            {"metadata": [{"name": "old", "namespace": "n"}], "data": {"a": "1"}},
            {"metadata": [{"name": "new", "namespace": "n"}], "data": {"a": "2"}},
            "kubernetes_config_map_v1",
        )
    ]
    findings = [
        (finding.subject, finding.found.text, finding.declared.text)
        for of in read_changes({"resource_changes": plan})
        for finding in change_findings(declared, of)
    ]
    assert findings == [
        ("ConfigMap old", "present", "absent"),
        ("ConfigMap new", "absent", "present"),
    ]


def test_a_plans_fields_are_spelled_as_kubernetes_does(declared: Declared) -> None:
    def deployment(image: str, label: str | None) -> dict[str, Any]:
        container = {"name": "llama-swap", "image": image, "image_pull_policy": "Always"}
        template = [{"spec": [{"container": [container], "node_name": None}]}]
        labels = {"x": label} if label else {}
        return {
            "metadata": [{"name": "llama-swap", "labels": labels, "uid": "u"}],
            "spec": [{"replicas": "0", "template": template}],
        }

    after = deployment("i@sha256:" + "a" * 64, None)
    del after["metadata"][0]["uid"]
    before = deployment("i@sha256:" + "b" * 64, "y")
    plan = [change(["update"], before, after, "kubernetes_deployment_v1")]
    findings = [
        (finding.field, finding.found.text, finding.declared.text)
        for of in read_changes({"resource_changes": plan})
        for finding in change_findings(declared, of)
    ]
    assert findings == [
        ("metadata.labels.x", "y", "not set"),
        (
            "spec.template.spec.containers[llama-swap].image",
            "i@sha256:bbbbbbbbbbbb",
            "i@sha256:aaaaaaaaaaaa",
        ),
    ]


def test_of_a_replaced_object_only_what_forces_it_is_drift(declared: Declared) -> None:
    """The claim that a volume is bound to is not declared, and no difference."""

    def volume(path: str, claim: list[dict[str, Any]]) -> dict[str, Any]:
        source = [{"nfs": [{"server": "192.0.2.1", "path": path}]}]
        spec = {"persistent_volume_source": source, "claim_ref": claim}
        return {"metadata": [{"name": "llama-cpp-models"}], "spec": [spec]}

    plan = [
        change(
            ["delete", "create"],
            volume("/old", [{"name": "models"}]),
            volume("/new", []),
            "kubernetes_persistent_volume_v1",
        )
    ]
    paths = [["spec", 0, "persistent_volume_source", 0, "nfs", 0, "path"]]
    plan[0]["change"]["replace_paths"] = paths
    findings = [
        (finding.field, finding.found.text, finding.declared.text)
        for of in read_changes({"resource_changes": plan})
        for finding in change_findings(declared, of)
    ]
    assert findings == [("spec.persistentVolumeSource.nfs.path", "/old", "/new")]
