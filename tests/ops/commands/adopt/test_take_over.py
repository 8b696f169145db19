"""What a take-over forgets, refuses and shows, without Terraform."""

from __future__ import annotations

from dataclasses import replace
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


@pytest.mark.parametrize(
    ("holder", "remedy"),
    [
        (
            "llama-cpp/other",
            '`storage` of stacks/production.py: claim="other", storage_class="nfs"',
        ),
        ("elsewhere/models", 'set namespace="elsewhere"; otherwise give `storage` of'),
    ],
)
def test_a_volume_of_another_claim_is_refused_with_what_to_declare(
    holder: str, remedy: str
) -> None:
    planned = (change(VOLUME, "create", namespace="", name="nfs"),)
    volume = {"kind": "PersistentVolume", "spec": {"storageClassName": "nfs"}}
    there = replace(found(*planned, objects={VOLUME: volume}), holders={VOLUME: holder})
    (refused,) = POLICY.foresee(there, planned).refused
    assert refused.reason == f"bound to claim {holder}"
    assert remedy in refused.remedy


@pytest.mark.parametrize("action", ["delete", "replace"])
def test_without_anything_to_take_over_it_refuses_what_a_deploy_refuses(action: str) -> None:
    """Our own volume, which a change of the settings would remove."""
    ours = {"labels": {"app.kubernetes.io/part-of": "llama-cpp"}}
    planned = (change(VOLUME, action, namespace="", metadata=ours),)
    (refused,) = POLICY.foresee(found(), planned).refused
    assert refused.change.address == VOLUME
    assert "--allow-removal" not in refused.remedy


def test_a_claim_that_would_be_replaced_names_the_setting() -> None:
    claim = change(
        CLAIM,
        "replace",
        before={"spec": [{"storage_class_name": "nfs", "volume_name": "v"}]},
        after={"spec": [{"storage_class_name": "other", "volume_name": "v"}]},
        replace_paths=("spec.0.storage_class_name",),
    )
    # Where the plan stopped at prevent_destroy, the old entries are not refused beside it.
    old = change("kubernetes_service.old", "forget")
    for planned, protected in (((claim,), ()), ((claim, old), (CLAIM,))):
        (refused,) = POLICY.judge(planned, protected=protected).refused
        assert refused.reason == (
            "cannot be changed: spec.storageClassName is 'nfs' and declared as 'other'"
        )
        assert refused.remedy.endswith('stacks/production.py: storage_class="nfs".')


@pytest.mark.parametrize(
    ("address", "field", "before", "expected"),
    [
        (
            CLAIM,
            "access_modes",
            ["ReadWriteOnce"],
            "`storage` of stacks/production.py: access_mode=",
        ),
        (
            "kubernetes_persistent_volume_claim_v1.cuda-cache",
            "volume_name",
            "v",
            "`gpu.cuda_cache` ",
        ),
    ],
)
def test_each_field_names_the_setting_that_declares_it(
    address: str, field: str, before: Any, expected: str
) -> None:
    labels = {
        "labels": {"app.kubernetes.io/name": "cuda-cache" if "cuda" in address else "models"}
    }
    claim = change(
        address,
        "replace",
        metadata=labels,
        before={"spec": [{field: before}]},
        after={"spec": [{field: ["other"] if isinstance(before, list) else "other"}]},
        replace_paths=(f"spec.0.{field}",),
    )
    (refused,) = POLICY.judge((claim,)).refused
    assert expected in refused.remedy


def text(*changes: ResourceChange) -> str:
    console = Console(file=StringIO(), width=160)
    forgotten = [change.address for change in changes if change.action == "forget"]
    on_terminal.show_plan(console, preview(judge(changes, taken_over=forgotten)))
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
    assert "containers[a].env[HF_TOKEN].value: [redacted] -> [redacted]" in shown
    assert "hf_" not in shown
    assert "containers[a].image: text -> text, 1 line changed" in shown


def test_the_preview_redacts_arguments_and_texts() -> None:
    def pod(args: list[str]) -> Json:
        return {"spec": [{"template": [{"spec": [{"container": [{"name": "a", "args": args}]}]}]}]}

    shown = text(
        change(
            "kubernetes_deployment_v1.a_0123ABCD",
            "import",
            before=pod(["--api-key", "secret-of-old"]),
            after=pod(["--port"]),
        ),
        change(
            "kubernetes_config_map_v1.b_0123ABCD",
            "import",
            before={"data": {"config.yaml": "apiKeys:\n- secret-of-old\n"}},
            after={"data": {"config.yaml": "models:\n"}},
        ),
    )
    assert "secret-of-old" not in shown
    assert "data[config.yaml]: text -> text, 2 lines changed" in shown


def test_only_what_nobody_declares_is_said_to_stay() -> None:
    """After a kill the state may have old and new entry, or the new object may be gone again."""
    kept = change("kubernetes_service.kept", "forget")
    declared = change("kubernetes_service_v1.kept_0123ABCD", "no-op", name="kept")
    left = change("kubernetes_service.left", "forget")
    shown = text(kept, declared, left)
    assert "Service left, until now kubernetes_service.left; to delete it: kubectl" in shown
    assert "Service kept, until now" not in shown
    namespace = change("kubernetes_namespace.old", "forget", namespace="")
    shown = text(namespace)
    assert "Namespace old, until now kubernetes_namespace.old" in shown
    assert "to delete it" not in shown


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


def test_a_release_is_that_of_the_outermost_manager_in_its_own_namespace() -> None:
    helm = {"meta.helm.sh/release-name": "home", "meta.helm.sh/release-namespace": "apps"}
    volume = change(
        "kubernetes_persistent_volume_v1.a", "import", namespace="", metadata={"annotations": helm}
    )
    (line,) = managed_by_others([volume])
    assert "-n apps delete secret -l owner=helm,name=home" in line
    flux = {"labels": {"helm.toolkit.fluxcd.io/name": "llm"}, "annotations": helm}
    (line,) = managed_by_others([replace(volume, before={"metadata": [flux]})])
    assert line.startswith("Flux (llm)")
    ids = [f"llm:apps/{kind}:llama-cpp/llama-swap" for kind in ("Deployment", "Service")]
    tracked = [
        replace(
            volume,
            before={"metadata": [{"annotations": {"argocd.argoproj.io/tracking-id": each}}]},
        )
        for each in ids
    ]
    (line,) = managed_by_others(tracked)
    assert line.startswith("Argo CD (llm)")
