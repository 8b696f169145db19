"""Terraform's spelling becomes Kubernetes' own, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
import yaml

from llama_swap_config.cluster.storage import LocalSsdStorage
from ops.errors import OpsError
from ops.terraform.manifests import manifests, to_yaml
from tests.declaration.resources import RESOURCES
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, WITH_KEY

Synth = Callable[..., dict[str, Any]]

Json = dict[str, Any]


def one(resource_type: str, **fields: Any) -> Json:
    resource = {"metadata": {"name": "x"}} | fields
    (manifest,) = manifests({"resource": {f"kubernetes_{resource_type}": {"id": resource}}})
    return manifest


def test_every_object_of_the_stack_is_valid_kubernetes(production: Json) -> None:
    objects = manifests(production)
    assert len(objects) == len(RESOURCES)
    for change in objects:
        kubernetes_validate.validate(change, "1.36", strict=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"storage": LocalSsdStorage(node="n", path="/srv")},
        {"gateway": GATEWAY, **WITH_KEY},
        {"gateway": EXISTING_GATEWAY, **WITH_KEY},
    ],
    ids=["a local volume", "a gateway", "a gateway that runs already"],
)
def test_what_other_settings_declare_is_valid_too(changes: Json, synth: Synth) -> None:
    for manifest in manifests(synth(**changes)):
        kubernetes_validate.validate(manifest, "1.36", strict=True)


def test_the_validation_would_catch_a_field_that_was_lost_or_misspelt(production: Json) -> None:
    deployment = manifests(production)[-1]
    deployment["spec"]["template"]["spec"]["containers"][0]["image_pull_policy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="image_pull_policy"):
        kubernetes_validate.validate(deployment, "1.36", strict=True)


def test_the_order_is_one_in_which_they_can_be_applied(production: Json) -> None:
    kinds = [manifest["kind"] for manifest in manifests(production)]
    assert kinds == [
        "Namespace",
        "PriorityClass",
        "PersistentVolume",
        "PersistentVolumeClaim",
        *["ConfigMap"] * 7,
        "ServiceAccount",
        "ServiceAccount",
        *["Role"] * 4,
        *["RoleBinding"] * 4,
        *["NetworkPolicy"] * 6,
        "Service",
        "Service",
        "Job",
        "CronJob",
        "CronJob",
        "Deployment",
        "Deployment",
    ]


def test_the_yaml_reads_back_as_the_objects(production: Json) -> None:
    objects = manifests(production)
    assert list(yaml.safe_load_all(to_yaml(objects))) == list(objects)


def test_the_configuration_arrives_as_it_was_rendered(production: Json) -> None:
    texts = [
        text
        for manifest in manifests(production)
        if manifest["kind"] == "ConfigMap"
        for text in manifest["data"].values()
    ]
    assert any("--port ${PORT}" in text for text in texts)
    assert not any("$${" in text for text in texts)


def test_terraforms_own_fields_are_omitted() -> None:
    manifest = one(
        "deployment_v1",
        wait_for_rollout=False,
        depends_on=["x"],
        lifecycle={"prevent_destroy": True},
    )
    assert set(manifest) == {"apiVersion", "kind", "metadata"}


def test_the_lifecycle_of_a_container_is_not_terraforms() -> None:
    container = {"name": "c", "lifecycle": {"pre_stop": [{"exec": {"command": ["/bin/sleep"]}}]}}
    manifest = one("deployment_v1", spec={"template": {"spec": {"container": [container]}}})
    assert manifest["spec"]["template"]["spec"]["containers"] == [
        {"name": "c", "lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep"]}}}}
    ]


def test_numbers_that_terraform_writes_as_text_are_numbers() -> None:
    spec = {"replicas": "1", "template": {"spec": {"security_context": {"run_as_user": "10001"}}}}
    manifest = one("deployment_v1", spec=spec)
    assert manifest["spec"]["replicas"] == 1
    assert manifest["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 10001


def test_an_argument_of_digits_stays_text() -> None:
    container = {"name": "c", "command": ["/bin/sleep", "5"], "env": [{"name": "A", "value": "1"}]}
    manifest = one("job_v1", spec={"template": {"spec": {"container": [container]}}})
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    assert found["command"] == ["/bin/sleep", "5"]
    assert found["env"] == [{"name": "A", "value": "1"}]


def test_keys_of_labels_are_kept() -> None:
    manifest = one("namespace_v1", metadata={"name": "x", "labels": {"a_b": "c"}})
    assert manifest["metadata"]["labels"] == {"a_b": "c"}


def test_a_role_and_its_binding_are_spelled_as_kubernetes_does() -> None:
    rule = {"api_groups": ["apps"], "resources": ["a/scale"], "resource_names": ["x_y"]}
    role = one("role_v1", rule=[rule | {"verbs": ["patch"]}])
    assert (role["apiVersion"], role["kind"]) == ("rbac.authorization.k8s.io/v1", "Role")
    assert role["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["a/scale"],
            "resourceNames": ["x_y"],
            "verbs": ["patch"],
        }
    ]
    binding = one(
        "role_binding_v1",
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
        subject=[{"kind": "ServiceAccount", "name": "a", "namespace": "b"}],
    )
    assert binding["kind"] == "RoleBinding"
    assert binding["roleRef"]["apiGroup"] == "rbac.authorization.k8s.io"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "a", "namespace": "b"}]


def test_whether_an_account_has_tokens_mounted_is_kept() -> None:
    manifest = one("service_account_v1", automount_service_account_token=False)
    assert manifest["kind"] == "ServiceAccount"
    assert manifest["automountServiceAccountToken"] is False


def test_an_unknown_block_is_an_error() -> None:
    with pytest.raises(OpsError, match=r"Service x\.spec\.new_block is an unknown repeated block"):
        one("service_v1", spec={"new_block": [{"a": "b"}]})


def test_an_unknown_resource_type_is_an_error() -> None:
    with pytest.raises(OpsError, match=r"kubernetes_secret_v1 has no Kubernetes manifest"):
        manifests({"resource": {"kubernetes_secret_v1": {}}})


@pytest.mark.parametrize("text", ["${kubernetes_service_v1.x.id}", "a ${b}", "$$${b}", "%{if x}"])
def test_an_expression_of_terraform_is_an_error(text: str) -> None:
    with pytest.raises(OpsError, match=r"not a reference to another resource"):
        one("config_map_v1", data={"a": text})
