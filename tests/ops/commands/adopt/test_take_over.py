"""What a take-over forgets, refuses and shows, without Terraform."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ops.cluster.unrecorded import Unrecorded
from ops.commands.adopt.managers import MANAGERS, managed_by_others
from ops.commands.adopt.preview import preview
from ops.commands.adopt.take_over import TakeOver
from ops.report import on_terminal
from ops.terraform.adoption import Adoption
from ops.terraform.changes import ResourceChange
from ops.terraform.verdict import judge

Json = dict[str, Any]

POLICY = TakeOver(namespace="llama-cpp")
VOLUME = "kubernetes_persistent_volume_v1.model-store_volume_564F8F40"
CLAIM = "kubernetes_persistent_volume_claim_v1.model-store_claim_9EDF5E09"


def change(
    address: str, action: Any, *, namespace: str = "llama-cpp", **more: Any
) -> ResourceChange:
    """One resource of a plan, named by the end of its address."""
    resource_type, _, name = address.rpartition("module.x.")[2].partition(".")
    metadata = [{"name": name, "namespace": namespace} | more.pop("metadata", {})]
    before = {"metadata": metadata, **more.pop("before", {})}
    after = {"metadata": metadata, **more.pop("after", {})}
    return ResourceChange(
        address=address,
        type=resource_type,
        namespace=namespace,
        name=more.pop("name", name),
        action=action,
        before={} if action == "create" else before,
        after={} if action in ("delete", "forget") else after,
        replace_paths=more.pop("replace_paths", ()),
    )


def found(*foreign: ResourceChange, objects: dict[str, Json] | None = None) -> Unrecorded:
    return Unrecorded(adoption=Adoption(changes=()), foreign=foreign, objects=objects or {})


def refusals(planned: tuple[ResourceChange, ...], there: Unrecorded, policy: TakeOver) -> Json:
    return {each.change.address: each.reason for each in policy.foresee(there, planned).refused}


@pytest.mark.parametrize(
    ("address", "namespace", "is_refused"),
    [
        ("kubernetes_service.any", "llama-cpp", False),
        ("module.x.kubernetes_job.any", "llama-cpp", False),
        ("kubernetes_namespace.llama-cpp", "", False),
        ("kubernetes_namespace.others", "", True),
        ("kubernetes_service.any", "monitoring", True),
        ("terraform_data.any", "", True),
        ("helm_release.any", "", True),
        ("kubernetes_persistent_volume.declared", "", False),
        ("kubernetes_persistent_volume.any", "", True),
    ],
)
@pytest.mark.parametrize("action", ["delete", "forget"])
def test_only_what_is_this_endpoints_is_forgotten(
    address: str, namespace: str, is_refused: bool, action: str
) -> None:
    """A state may have more than the endpoint."""
    declared = change("kubernetes_persistent_volume_v1.declared", "create", namespace="")
    planned = (change(address, action, namespace=namespace), declared)
    refused = refusals(planned, found(), POLICY)
    assert set(refused) == ({address} if is_refused else set())
    assert refusals(planned, found(), TakeOver(namespace="llama-cpp", forget=(address,))) == {}


def test_a_state_of_another_type_of_storage_keeps_the_volume_of_the_claim() -> None:
    """The claim is refused, with its volume's name; its volume is not said to be another's."""
    planned = (
        change("kubernetes_persistent_volume.nfs", "delete", namespace=""),
        change(CLAIM, "create"),
    )
    claim = {"kind": "PersistentVolumeClaim", "spec": {"volumeName": "nfs"}}
    assert refusals(planned, found(planned[1], objects={CLAIM: claim}), POLICY) == {}


def bound(phase: str, claim: str) -> Json:
    spec = {"claimRef": {"namespace": "llama-cpp", "name": claim}, "storageClassName": "nfs"}
    return {"kind": "PersistentVolume", "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        (bound("Bound", "models"), None),
        (bound("Bound", "other"), "bound to claim llama-cpp/other"),
        (bound("Released", "models"), "Released: its claim is gone"),
        ({"kind": "PersistentVolume", "spec": {}}, None),
    ],
)
def test_a_volume_is_taken_over_only_for_the_declared_claim(
    volume: Json, reason: str | None
) -> None:
    planned = (
        change(VOLUME, "create", namespace="", name="nfs"),
        change(CLAIM, "create", name="models", after={"spec": [{"volume_name": "nfs"}]}),
    )
    refused = refusals(planned, found(planned[0], objects={VOLUME: volume}), POLICY)
    assert refused == ({} if reason is None else {VOLUME: reason})


def test_a_claim_that_would_be_replaced_names_the_setting() -> None:
    claim = change(
        CLAIM,
        "replace",
        before={"spec": [{"storage_class_name": "nfs", "volume_name": "v"}]},
        after={"spec": [{"storage_class_name": "other", "volume_name": "v"}]},
        replace_paths=("spec.0.storage_class_name",),
    )
    for protected in ((), (CLAIM,)):
        (refused,) = POLICY.judge((claim,), protected=protected).refused
        assert refused.reason == (
            "cannot be changed: spec.storageClassName is 'nfs' and declared as 'other'"
        )
        assert refused.remedy.endswith('stacks/production.py: storage_class="nfs".')


def text(*changes: ResourceChange) -> str:
    console = Console(file=StringIO(), width=160)
    on_terminal.show_plan(console, preview(judge(changes)))
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_the_preview_hides_variables_and_shortens_what_is_long() -> None:
    def pod(value: str, image: str) -> Json:
        container = {"name": "a", "image": image, "env": [{"name": "HF_TOKEN", "value": value}]}
        return {"spec": [{"template": [{"spec": [{"container": [container]}]}]}]}

    shown = text(
        change(
            "kubernetes_deployment_v1.a_0123ABCD",
            "import",
            before=pod("hf_old", "x" * 300),
            after=pod("hf_new", "b"),
        )
    )
    assert "containers[a].env[HF_TOKEN].value: (not shown) -> (not shown)" in shown
    assert "hf_" not in shown
    assert "x... (300 characters) -> b" in shown


def test_what_is_as_declared_stays_as_it_is() -> None:
    """Terraform has no null where the provider has an empty text, 0 or false."""
    shown = text(
        change(
            "kubernetes_service_v1.a_0123ABCD",
            "import",
            before={"spec": [{"a": "", "b": 0, "c": False, "d": []}]},
            after={"spec": [{"a": None, "b": None, "c": None, "d": None}]},
        )
    )
    assert "stays as it is" in shown


@pytest.mark.parametrize("manager", MANAGERS, ids=lambda manager: manager.mark)
def test_each_manager_is_named_once_with_what_ends_it(manager: Any) -> None:
    marked = {"annotations": {manager.mark: "home"}}
    changes = [
        change(f"kubernetes_service_v1.{name}_0123ABCD", "import", metadata=marked)
        for name in "ab"
    ]
    (line,) = managed_by_others(changes)
    assert line.startswith(f"{manager.name} (home) manages Service a_0123ABCD. First ")
    assert "{" not in line
