"""Two syntheses object by object: which fields, what is replaced and why, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage
from ops.commands.plan.fields import field_changes
from ops.commands.plan.immutable import IMMUTABLE, forces_replacement
from ops.commands.plan.objects import ObjectChange, object_changes, setting_changes, unprotected
from ops.commands.plan.refresh import disagreements
from ops.terraform.changes import ResourceChange

Json = dict[str, Any]
Synth = Callable[..., Json]
CLAIM = "kubernetes_persistent_volume_claim_v1"


def by_kind(changes: tuple[ObjectChange, ...]) -> dict[str, ObjectChange]:
    return {change.kind: change for change in changes}


def paths(change: ObjectChange) -> list[str]:
    return [field.kubernetes_path for field in change.fields]


def test_the_same_stack_has_no_change(production: Json, synth: Synth) -> None:
    assert object_changes(production, synth()) == ()


def test_every_type_of_the_stack_has_its_immutable_fields(production: Json) -> None:
    accounts = {f"kubernetes_{kind}_v1" for kind in ("service_account", "role", "role_binding")}
    assert set(production["resource"]) | accounts == set(IMMUTABLE)


def test_another_export_replaces_the_volume_and_terraform_refuses(
    production: Json, synth: Synth
) -> None:
    storage = NfsStorage(server="192.168.1.127", path="/srv/elsewhere")
    (change,) = object_changes(production, synth(storage=storage))
    assert (change.kind, change.action, change.refused) == ("PersistentVolume", "replace", True)
    (field,) = change.forced_by
    assert field.kubernetes_path == "spec.nfs.path"
    assert (field.before, field.after) == ("/srv/nfs-ssd/llamacpp", "/srv/elsewhere")


def test_a_local_disk_replaces_volume_and_claim(production: Json, synth: Synth) -> None:
    storage = LocalSsdStorage(node="k8s-node1", path="/models")
    changes = by_kind(object_changes(production, synth(storage=storage, prevent_destroy=False)))
    volume, claim = changes["PersistentVolume"], changes["PersistentVolumeClaim"]
    assert (volume.action, claim.action) == ("replace", "replace")
    assert not volume.refused
    assert "spec.local.path" in paths(volume)
    assert [field.path for field in claim.forced_by] == ["spec.access_modes"]


def test_the_size_of_the_volume_touches_the_volume_alone(production: Json, synth: Synth) -> None:
    for size_gib in (25, 100):
        (change,) = object_changes(production, synth(storage_size_gib=size_gib))
        assert (change.kind, change.action) == ("PersistentVolume", "update")


def test_a_claim_without_its_lifecycle_grows_in_place_and_is_replaced_to_shrink(
    synth: Synth,
) -> None:
    production, larger = synth(), synth(storage_size_gib=100)
    for document in (production, larger):
        (claim,) = document["resource"]["kubernetes_persistent_volume_claim_v1"].values()
        del claim["lifecycle"]["ignore_changes"]
    assert by_kind(object_changes(production, larger))["PersistentVolumeClaim"].action == "update"
    assert by_kind(object_changes(larger, production))["PersistentVolumeClaim"].action == "replace"


def test_a_volume_that_is_no_longer_declared_is_not_guarded(
    production: Json, synth: Synth
) -> None:
    after = synth()
    del after["resource"]["kubernetes_persistent_volume_v1"]
    (change,) = object_changes(production, after)
    assert (change.action, change.refused) == ("delete", False)


def test_a_removed_prevent_destroy_is_listed(production: Json, synth: Synth) -> None:
    after = synth(prevent_destroy=False)
    assert object_changes(production, after) == ()
    assert set(unprotected(production, after).values()) == {
        "Namespace llama-cpp",
        "PersistentVolume llama-cpp-models",
        "PersistentVolumeClaim models",
    }


def test_another_namespace_replaces_every_object(production: Json, synth: Synth) -> None:
    changes = object_changes(production, synth(namespace="llama"))
    assert {change.action for change in changes} == {"replace"}
    assert {change.kind for change in changes} >= {"Namespace", "Service", "Deployment", "CronJob"}


def test_another_state_schema_is_a_setting_of_terraform(production: Json, synth: Synth) -> None:
    (change,) = setting_changes(production, synth(state_schema="other"))
    assert change.path == "terraform.backend.pg.schema_name"


def test_removing_the_warm_up_restarts_the_pod(production: Json, synth: Synth) -> None:
    changes = by_kind(object_changes(production, synth(warm_wait_s=None)))
    assert changes["ConfigMap"].action == "delete"
    restarts = {field.kubernetes_path for field in changes["Deployment"].restarts}
    assert "spec.template.metadata.annotations[checksum/warm-up]" in restarts
    assert "spec.template.spec.initContainers[warm-up].image" in restarts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"replicas": "1"}, {"replicas": 1}),
        ({"read_only": True}, {"read_only": "true"}),
        ({"spec": [{"a": 1}]}, {"spec": {"a": 1}}),
        ({"requests": {"storage": "30Gi"}}, {"requests": {"storage": "30720Mi"}}),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1000m"}}),
        ({"mount_options": ["hard", "ro"]}, {"mount_options": ["ro", "hard"]}),
        ({"labels": {}}, {}),
        ({"depends_on": ["a"], "lifecycle": {}, "//": {}}, {}),
    ],
)
def test_values_that_terraform_treats_alike_do_not_differ(before: Json, after: Json) -> None:
    assert field_changes(before, after) == ()


def test_the_text_none_is_a_value() -> None:
    (change,) = field_changes({"cluster_ip": None}, {"cluster_ip": "None"})
    assert (change.before, change.after) == (None, "None")


def test_repeated_blocks_are_told_apart_by_name() -> None:
    before = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    renamed = {"env": [{"name": "A", "value": "1"}, {"name": "C", "value": "3"}]}
    fields = field_changes(before, renamed)
    assert [(change.kubernetes_path, change.before, change.after) for change in fields] == [
        ("env[B].name", "B", "C"),
        ("env[B].value", "2", "3"),
    ]
    more = {"env": [{"name": "0", "value": "0"}, *before["env"]]}
    assert [field.kubernetes_path for field in field_changes(before, more)] == [
        "env[0].name",
        "env[0].value",
    ]
    (moved,) = field_changes(before, {"env": before["env"][::-1]})
    assert (moved.path, moved.before, moved.after) == ("env", "[A], [B]", "[B], [A]")


@pytest.mark.parametrize(
    ("resource_type", "before", "after", "forced"),
    [
        (CLAIM, {"requests": {"storage": "30Gi"}}, {"requests": {"storage": "31Gi"}}, False),
        (CLAIM, {"requests": {"storage": "30Gi"}}, {"requests": {"storage": "29Gi"}}, True),
        (CLAIM, {}, {"limits": {"storage": "30Gi"}}, True),
    ],
)
def test_a_claim_is_replaced_for_less_storage_or_a_limit(
    resource_type: str, before: Json, after: Json, forced: bool
) -> None:
    old, new = ({"spec": {"resources": resources}} for resources in (before, after))
    (change,) = field_changes(old, new)
    assert forces_replacement(resource_type, change) is forced


def job(**container: Any) -> Json:
    pod = {"container": [{"name": "download", "image": "x"} | container]}
    return {"spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}}}


def test_in_a_job_only_the_number_of_mounts_is_immutable() -> None:
    mount = {"name": "models", "mount_path": "/models"}
    moved = mount | {"mount_path": "/elsewhere"}
    more = [mount, {"name": "tmp", "mount_path": "/tmp"}]
    for mounts, forced in (([moved], False), (more, True), ([], True)):
        fields = field_changes(job(volume_mount=[mount]), job(volume_mount=mounts))
        replaced = any(forces_replacement("kubernetes_job_v1", field) for field in fields)
        assert replaced is forced, mounts


def real(action: str, **fields: Any) -> ResourceChange:
    before: Json = {"metadata": [{"name": "llama-swap", "uid": "1"}], "spec": [{"replicas": "1"}]}
    after: Json = {"metadata": [{"name": "llama-swap"}], "spec": [{"replicas": "1"}]}
    after["spec"][0] |= fields
    return ResourceChange(
        address="kubernetes_deployment_v1.llama-swap_4C1F0E2A",
        type="kubernetes_deployment_v1",
        namespace="llama-cpp",
        name="llama-swap",
        action=action,  # type: ignore[arg-type]
        before=before,
        after=after,
        replace_paths=(),
    )


def predicted(before: Json, after: Json) -> tuple[ObjectChange, ...]:
    metadata = {"name": "llama-swap", "namespace": "llama-cpp"}
    documents = (
        {"resource": {"kubernetes_deployment_v1": {"llama-swap_4C1F0E2A": resource}}}
        for resource in (
            {"metadata": metadata, "spec": before},
            {"metadata": metadata, "spec": after},
        )
    )
    return object_changes(*documents)


def test_a_change_only_in_terraforms_plan_is_a_disagreement() -> None:
    (disagreement,) = disagreements((), (real("update", replicas="0", paused=True),))
    assert disagreement.reason == "differs in the cluster although this branch does not touch it"
    assert disagreement.fields == ("spec.replicas", "spec.paused")


def test_a_change_of_the_branch_is_not_a_disagreement() -> None:
    expected = predicted({"replicas": "1"}, {"replicas": "2"})
    assert list(disagreements(expected, (real("update", replicas="2"),))) == []
    (disagreement,) = disagreements(expected, (real("update", replicas="2", paused=True),))
    assert disagreement.reason == "also differs in the cluster where this branch does not touch it"
    assert disagreement.fields == ("spec.paused",)


def test_what_the_cluster_set_in_a_replaced_object_is_not_a_disagreement() -> None:
    """Terraform does not know it of the new object yet; a Job has some twenty such fields."""
    labels = {"selector": {"match_labels": {"a": "1"}}}
    expected = predicted(labels, {"selector": {"match_labels": {"a": "2"}}})
    assert [change.action for change in expected] == ["replace"]
    change = replace(
        real("replace", min_ready_seconds="0"), replace_paths=("spec.0.selector.0.match_labels",)
    )
    assert list(disagreements(expected, (change,))) == []
    (unasked,) = disagreements((), (change,))
    assert unasked.fields == ("spec.selector.matchLabels",)


def test_a_change_that_the_cluster_already_has_is_a_disagreement() -> None:
    expected = predicted({"replicas": "1"}, {"replicas": "2"})
    (disagreement,) = disagreements(expected, (real("no-op"),))
    assert disagreement.reason == "this branch changes it, but the cluster already has the change"


def test_another_action_than_predicted_is_a_disagreement() -> None:
    expected = predicted({"replicas": "1"}, {"replicas": "2"})
    (disagreement,) = disagreements(expected, (real("create"),))
    assert disagreement.reason == "this branch would update it, Terraform would create it"
    (missing,) = disagreements((), (real("create"),))
    assert missing.reason == "is missing in the cluster although this branch does not add it"
