"""What `ops plan` predicts against what the real provider does: the table of immutable fields."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.sharing import Alone
from llama_swap_config.cluster.storage import LocalSsdStorage
from ops.commands.plan.objects import object_changes
from ops.commands.plan.refresh import disagreements
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.terraform.program import REGISTRIES, find
from ops.terraform.run import Terraform
from tests.real.deploy.applied import apply

Json = dict[str, Any]
Synth = Callable[..., Json]

pytestmark = pytest.mark.usefixtures("running_provider")

RBAC: Json = {
    "kubernetes_role_v1": {
        "restore": {
            "metadata": {"name": "restore", "namespace": "llama-cpp"},
            "rule": [{"api_groups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}],
        },
    },
    "kubernetes_role_binding_v1": {
        "restore": {
            "metadata": {"name": "restore", "namespace": "llama-cpp"},
            "role_ref": {
                "api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": "restore"
            },
            "subject": [
                {"kind": "ServiceAccount", "name": "restore", "namespace": "llama-cpp"}
            ],
        },
    },
}  # fmt: skip


class Deployed:
    """The stack with two RBAC objects, applied once; each plan is of a changed copy."""

    def __init__(self, directory: Path, document: Json) -> None:
        self.document = document
        self._directory = directory
        self.terraform = Terraform(directory)
        self.write(document)

    def write(self, document: Json) -> None:
        (self._directory / "cdk.tf.json").write_text(json.dumps(document))

    def compare(self, document: Json) -> None:
        """Require that prediction and provider agree on each action and each forcing field."""
        self.write(document)
        real = {change.address: change for change in self.terraform.changes(lock=False)}
        predicted = {change.address: change for change in object_changes(self.document, document)}
        actions = {address: change.action for address, change in predicted.items()}
        assert actions == {
            address: change.action for address, change in real.items() if change.action != "no-op"
        }
        for address, change in predicted.items():
            forced = {re.sub(r"\.\d+", "", path) for path in real[address].replace_paths}
            ours = {field.path for field in change.forced_by}
            assert {
                path for path in ours if not any(near(path, other_path) for other_path in forced)
            } == set()
            # The provider lists the defaults of a block that comes too.
            ours |= {field.block for field in change.fields if field.block}
            assert {
                path for path in forced if not any(near(path, other_path) for other_path in ours)
            } == set()


def near(path: str, prefix: str) -> bool:
    return f"{path}.".startswith(f"{prefix}.") or f"{prefix}.".startswith(f"{path}.")


@pytest.fixture(scope="module")
def deployed(
    synth: Synth, cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    # The exporter has Roles of its own.
    document = synth(prevent_destroy=False, sharing=Alone(), monitoring=None)
    document["terraform"].pop("backend")
    document["resource"] |= RBAC
    for resources in RBAC.values():
        resources["restore"]["depends_on"] = ["kubernetes_namespace_v1.namespace_177341A3"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        deployed = Deployed(tmp_path_factory.mktemp("plan"), document)
        deployed.terraform.init()
        apply(deployed.terraform)
        yield deployed


@pytest.fixture
def changed(deployed: Deployed) -> Json:
    return copy.deepcopy(deployed.document)


def only(document: Json, kind: str) -> Json:
    resource: Json
    (resource,) = document["resource"][f"kubernetes_{kind}_v1"].values()
    return resource


def pod_of(resource: Json) -> Json:
    spec = resource["spec"]
    spec = spec["job_template"]["spec"] if "job_template" in spec else spec
    pod: Json = spec["template"]["spec"]
    return pod


def every(document: Json) -> Iterator[Json]:
    for by_name in document["resource"].values():
        yield from by_name.values()


def test_another_name_replaces_every_type(deployed: Deployed, changed: Json) -> None:
    for resource in every(changed):
        resource["metadata"]["name"] += "-x"
    deployed.compare(changed)


def test_another_namespace_replaces_every_type_that_has_one(
    deployed: Deployed, changed: Json
) -> None:
    for resource in every(changed):
        if "namespace" in resource["metadata"]:
            resource["metadata"]["namespace"] = "other"
    deployed.compare(changed)


def test_a_job_is_replaced_for_its_immutable_fields(deployed: Deployed, changed: Json) -> None:
    job = only(changed, "job")
    pod = pod_of(job)
    pod |= {
        "automount_service_account_token": True,
        "enable_service_links": True,
        "node_selector": {"a": "b"},
        "priority_class_name": "system-node-critical",
        "restart_policy": "OnFailure",
        "service_account_name": "restore",
        "termination_grace_period_seconds": 31,
    }
    pod["security_context"] = {"fs_group": "2", "run_as_user": "2", "run_as_non_root": False}
    pod["toleration"][0]["key"] = "other"
    pod["volume"].append({"name": "tmp", "empty_dir": {"size_limit": "1Gi"}})
    (container,) = pod["container"]
    container |= {
        "args": ["other"],
        "command": ["other"],
        "image": "other",
        "image_pull_policy": "Always",
        "name": "other",
        "working_dir": "/",
    }
    container["env"][0]["value"] = "other"
    container["resources"]["limits"]["memory"] = "2Gi"
    container["security_context"]["read_only_root_filesystem"] = False
    container["security_context"]["capabilities"]["drop"] = ["NET_RAW"]
    container["volume_mount"].append({"name": "tmp", "mount_path": "/tmp"})
    job["spec"] |= {"completions": 2, "completion_mode": "Indexed"}
    del job["spec"]["pod_failure_policy"]
    deployed.compare(changed)


def test_a_second_container_or_init_container_replaces_a_job(
    deployed: Deployed, changed: Json
) -> None:
    pod = pod_of(only(changed, "job"))
    pod["init_container"] = [{"name": "first", "image": "x"}]
    deployed.compare(changed)


def test_other_types_are_replaced_for_their_immutable_fields(
    deployed: Deployed, changed: Json
) -> None:
    deployment = only(changed, "deployment")["spec"]
    deployment["selector"]["match_labels"]["a"] = "b"
    deployment["template"]["metadata"]["name"] = "other"
    cron = only(changed, "cron_job")["spec"]["job_template"]
    cron["metadata"]["name"] = "other"
    cron["spec"] |= {"completions": 2}
    del cron["spec"]["pod_failure_policy"]
    claim = only(changed, "persistent_volume_claim")["spec"]
    claim |= {
        "access_modes": ["ReadWriteOnce"],
        "storage_class_name": "other",
        "volume_mode": "Block",
        "volume_name": "other",
    }
    (volume,) = only(changed, "persistent_volume")["spec"]
    volume["volume_mode"] = "Block"
    volume["persistent_volume_source"]["nfs"]["path"] = "/other"
    only(changed, "service")["spec"]["cluster_ip"] = "None"
    only(changed, "role_binding")["role_ref"]["name"] = "other"
    deployed.compare(changed)


def test_a_smaller_claim_is_replaced_and_a_larger_one_is_not(
    deployed: Deployed, changed: Json
) -> None:
    claim = only(changed, "persistent_volume_claim")
    del claim["lifecycle"]
    for size in ("29Gi", "31Gi", "30720Mi"):
        claim["spec"]["resources"]["requests"] = {"storage": size}
        deployed.compare(changed)


def test_a_claim_keeps_the_size_that_it_was_made_with(deployed: Deployed, synth: Synth) -> None:
    larger = synth(prevent_destroy=False, sharing=Alone(), monitoring=None, storage_size_gib=100)
    (volume,) = object_changes(deployed.document, larger | {"resource": larger["resource"] | RBAC})
    assert (volume.kind, volume.action) == ("PersistentVolume", "update")
    changed = copy.deepcopy(deployed.document)
    changed["resource"] |= {
        kind: larger["resource"][kind]
        for kind in ("kubernetes_persistent_volume_v1", "kubernetes_persistent_volume_claim_v1")
    }
    deployed.compare(changed)


def test_a_local_disk_replaces_an_nfs_export(deployed: Deployed, synth: Synth) -> None:
    storage = LocalSsdStorage(node="k8s-node1", path="/models")
    local = synth(prevent_destroy=False, sharing=Alone(), monitoring=None, storage=storage)
    local["terraform"].pop("backend")
    local["resource"] |= RBAC
    deployed.compare(local)


def test_other_fields_are_changed_in_place(deployed: Deployed, changed: Json) -> None:
    for resource in every(changed):
        resource["metadata"].setdefault("labels", {})["a"] = "b"
        resource["metadata"]["annotations"] = {"a": "b"}
    for config_map in changed["resource"]["kubernetes_config_map_v1"].values():
        config_map["data"]["other"] = "x"
    job = only(changed, "job")["spec"]
    job["backoff_limit"] = 3
    job["pod_failure_policy"]["rule"][0]["action"] = "Count"
    pod_of({"spec": job})["container"][0]["volume_mount"][0]["mount_path"] = "/other"
    pod_of({"spec": job})["volume"][1]["config_map"]["name"] = "other"
    deployment = only(changed, "deployment")
    deployment["spec"] |= {"replicas": "2", "strategy": {"type": "RollingUpdate"}}
    pod = pod_of(deployment)
    pod["container"][0]["image"] = "other"
    pod["container"][0]["liveness_probe"]["period_seconds"] = 21
    pod["toleration"][0]["key"] = "other"
    pod["volume"].append({"name": "more", "empty_dir": {"size_limit": "1Gi"}})
    pod["container"].append({"name": "second", "image": "x"})
    del pod["init_container"]
    cron = only(changed, "cron_job")["spec"]
    cron["schedule"] = "1 1 * * *"
    cron["job_template"]["spec"]["backoff_limit"] = 3
    pod_of({"spec": cron})["container"][0] |= {"image": "other", "args": ["other"]}
    (volume,) = only(changed, "persistent_volume")["spec"]
    volume |= {
        "access_modes": ["ReadWriteOnce"],
        "capacity": {"storage": "31Gi"},
        "mount_options": ["soft"],
        "persistent_volume_reclaim_policy": "Delete",
        "storage_class_name": "other",
    }
    service = only(changed, "service")["spec"]
    service["port"][0]["port"] = 81
    service["selector"]["a"] = "b"
    for policy in changed["resource"]["kubernetes_network_policy_v1"].values():
        policy["spec"]["pod_selector"]["match_labels"]["a"] = "b"
    only(changed, "role")["rule"][0]["verbs"] = ["get", "patch"]
    only(changed, "role_binding")["subject"][0]["name"] = "other"
    deployed.compare(changed)


def test_added_and_removed_objects_are_planned(deployed: Deployed, changed: Json) -> None:
    resources = changed["resource"]
    only(changed, "role_binding")["subject"][0]["name"] = "default"
    resources["kubernetes_config_map_v1"]["other"] = {
        "metadata": {"name": "other", "namespace": "llama-cpp"},
        "data": {"a": "b"},
    }
    del resources["kubernetes_cron_job_v1"]
    deployed.compare(changed)


def test_a_change_by_somebody_else_is_the_only_disagreement(
    deployed: Deployed, changed: Json
) -> None:
    deployment = only(changed, "deployment")
    deployment["spec"]["progress_deadline_seconds"] = 4000
    deployed.write(changed)
    apply(deployed.terraform)
    try:
        deployed.write(deployed.document)
        (disagreement,) = disagreements((), deployed.terraform.changes(lock=False))
        assert (
            disagreement.reason == "differs in the cluster although this branch does not touch it"
        )
        assert (disagreement.kind, disagreement.fields) == (
            "Deployment",
            ("spec.progressDeadlineSeconds",),
        )
        predicted = object_changes(deployed.document, changed)
        deployed.write(changed)
        (disagreement,) = disagreements(predicted, deployed.terraform.changes(lock=False))
        assert (
            disagreement.reason == "this branch changes it, but the cluster already has the change"
        )
    finally:
        deployed.write(deployed.document)
        apply(deployed.terraform)


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"metadata": {"name": "other", "namespace": "llama-cpp"}}, "replace"),
        ({"metadata": {"name": "restore", "namespace": "other"}}, "replace"),
        ({"automount_service_account_token": False}, "update"),
    ],
)
def test_a_service_account_against_a_state_written_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Json, action: str
) -> None:
    # Its read asks for the server's version, and a control plane of Go modules has none.
    monkeypatch.setenv("TF_CLI_ARGS_plan", "-refresh=false")
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(tmp_path / "none"))
    metadata = {"name": "restore", "namespace": "llama-cpp"}
    attributes = {
        "id": "llama-cpp/restore",
        "automount_service_account_token": True,
        "metadata": [metadata | {"generate_name": ""}],
    }
    resource = {
        "mode": "managed",
        "type": "kubernetes_service_account_v1",
        "name": "restore",
        "provider": f'provider["{REGISTRIES[find(None).tool]}/hashicorp/kubernetes"]',
        "instances": [{"schema_version": 0, "attributes": attributes}],
    }
    state = {"version": 4, "serial": 1, "lineage": "x", "outputs": {}, "resources": [resource]}
    (tmp_path / "terraform.tfstate").write_text(json.dumps(state))
    before, after = (
        {
            "resource": {
                "kubernetes_service_account_v1": {"restore": {"metadata": metadata} | account}
            }
        }
        for account in ({}, changes)
    )
    required = {"kubernetes": {"source": "hashicorp/kubernetes", "version": "2.38.0"}}
    (tmp_path / "cdk.tf.json").write_text(
        json.dumps(after | {"terraform": {"required_providers": required}})
    )
    terraform = Terraform(tmp_path)
    terraform.init()
    (real,) = terraform.changes(lock=False)
    (predicted,) = object_changes(before, after)
    assert (real.action, predicted.action) == (action, action)


def test_prevent_destroy_guards_a_replacement_and_not_what_is_no_longer_declared(
    tmp_path: Path,
) -> None:
    def write(**resources: Any) -> Terraform:
        document = {"resource": {"terraform_data": resources}} if resources else {}
        (tmp_path / "cdk.tf.json").write_text(json.dumps(document))
        return Terraform(tmp_path)

    guarded = {"lifecycle": {"prevent_destroy": True}, "triggers_replace": "1"}
    write(only=guarded).init()
    apply(write(only=guarded))
    with write(only=guarded | {"triggers_replace": "2"}).saved_plan(lock=False) as plan:
        assert plan.protected == {"terraform_data.only"}
        with pytest.raises(OpsError, match="Cannot apply incomplete plan"):
            plan.apply(quiet=True)
    (gone,) = write().changes(lock=False)
    assert gone.action == "delete"
