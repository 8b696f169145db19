"""What of a plan a deploy refuses, without Terraform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ops.commands.deploy.run import check_refused
from ops.commands.plan.objects import object_changes
from ops.errors import OpsError, RefusedError
from ops.terraform.changes import ResourceChange, read_changes
from ops.terraform.verdict import Verdict, exists_already, judge
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, WITH_KEY
from tests.ops.commands.deploy.changes import CHANGES, deployed_before, documented

Json = dict[str, Any]
Synth = Callable[..., Json]

OURS = {"app.kubernetes.io/part-of": "llama-cpp"}


def entry(address: str, *actions: str, labels: Json | None = None) -> Json:
    """One resource of `terraform show -json`."""
    resource_type, _, name = address.rpartition("/")[2].partition(".")
    metadata = [{"name": name.lower(), "labels": labels}]
    there = None if actions == ("create",) else {"metadata": metadata}
    return {
        "address": address,
        "type": resource_type,
        "name": name,
        "change": {
            "actions": list(actions),
            "before": there,
            "after": {"metadata": metadata} if "create" in actions else None,
        },
    }


def verdict(*entries: Json, **arguments: Any) -> Verdict:
    return judge(read_changes({"resource_changes": list(entries)}), **arguments)


def reasons(result: Verdict) -> dict[str, str]:
    return {refused.change.address: refused.reason for refused in result.refused}


@pytest.mark.parametrize(
    "resource_type",
    [
        "kubernetes_namespace",
        "kubernetes_namespace_v1",
        "kubernetes_persistent_volume",
        "kubernetes_persistent_volume_v1",
        "kubernetes_persistent_volume_claim",
        "kubernetes_persistent_volume_claim_v1",
    ],
)
@pytest.mark.parametrize("actions", [("delete",), ("delete", "create"), ("create", "delete")])
def test_a_namespace_a_volume_and_a_claim_are_refused_in_both_spellings(
    resource_type: str, actions: tuple[str, ...]
) -> None:
    address = f"{resource_type}.ours_0123ABCD"
    assert set(reasons(verdict(entry(address, *actions, labels=OURS)))) == {address}
    assert reasons(verdict(entry(address, *actions, labels=OURS), allowed=(address,))) == {}


@pytest.mark.parametrize(
    ("address", "labels"),
    [
        ("kubernetes_deployment.llama_swap", OURS),
        ("kubernetes_deployment_v1.llama_swap", OURS),
        ("kubernetes_job_v1.download_0123ABCD", None),
        ("kubernetes_job_v1.download_0123ABCD", {"app.kubernetes.io/part-of": "other"}),
        ("module.x.kubernetes_job_v1.download_0123ABCD", OURS),
        ("helm_release.immich_0123ABCD", OURS),
        ("terraform_data.anything", None),
    ],
)
@pytest.mark.parametrize("action", ["delete", "forget"])
def test_what_this_stack_did_not_make_is_refused(
    address: str, labels: Json | None, action: str
) -> None:
    result = verdict(entry(address, action, labels=labels))
    assert reasons(result) == {address: "not made by this stack"}


def test_objects_of_an_earlier_version_of_this_stack_are_removed() -> None:
    address = "kubernetes_cron_job_v1.model-upkeep_9D577000"
    assert reasons(verdict(entry(address, "delete", labels=OURS))) == {}
    job = "kubernetes_job_v1.model-download_2FAC35D3"
    assert reasons(verdict(entry(job, "delete", "create", labels=OURS))) == {}


@pytest.mark.parametrize(
    "metadata", [{"name": "x"}, "x", [], [None], ["x"], None, [{"name": 1, "namespace": []}]]
)
def test_metadata_of_another_provider_is_read_without_an_error(metadata: Any) -> None:
    there = entry("helm_release.immich", "delete")
    there["change"]["before"]["metadata"] = metadata
    result = verdict(there)
    assert reasons(result) == {"helm_release.immich": "not made by this stack"}
    assert result.changes[0].name == ("x" if metadata == [{"name": "x"}] else "immich")


@pytest.mark.parametrize("actions", [("annihilate",), ("forget", "create"), ()])
def test_an_unknown_action_is_an_error(actions: tuple[str, ...]) -> None:
    there = entry("kubernetes_namespace_v1.namespace_177341A3", "delete")
    there["change"]["actions"] = list(actions)
    with pytest.raises(OpsError, match="expected one of no-op"):
        verdict(there)


def test_a_forgotten_object_is_refused_even_if_allowed() -> None:
    address = "kubernetes_deployment.llama_swap"
    result = verdict(entry(address, "forget"), allowed=(address,))
    assert reasons(result) == {address: "not made by this stack"}
    assert not any("--allow-removal" in remedy for remedy in result.remedies)


def test_a_cluster_without_anything_to_protect_refuses_only_what_is_not_ours() -> None:
    ours = entry("kubernetes_namespace_v1.ours_0123ABCD", "delete", "create", labels=OURS)
    theirs = entry("kubernetes_namespace_v1.theirs", "delete", labels=OURS)
    forgotten = entry("kubernetes_namespace.llama_cpp", "forget", labels=OURS)
    result = verdict(ours, theirs, forgotten, named_only=())
    assert set(reasons(result)) == {
        "kubernetes_namespace_v1.theirs", "kubernetes_namespace.llama_cpp"
    }  # fmt: skip


def test_a_plan_stopped_by_prevent_destroy_is_refused() -> None:
    with pytest.raises(RefusedError):
        check_refused(verdict(protected=frozenset({"kubernetes_namespace_v1.x"})))


def test_prevent_destroy_is_refused_even_if_allowed() -> None:
    address = "kubernetes_namespace_v1.namespace_177341A3"
    result = verdict(
        entry(address, "delete", "create", labels=OURS),
        protected=frozenset({address}),
        allowed=(address,),
    )
    assert reasons(result) == {address: "prevent_destroy is true in the settings"}
    assert not result.is_whole


def test_the_headline_counts_refused_ones_first_and_they_are_listed_first() -> None:
    entries = (
        entry("kubernetes_service_v1.a_0123ABCD", "create"),
        entry("kubernetes_service_v1.b_0123ABCD", "no-op", labels=OURS),
        entry("kubernetes_deployment_v1.c_0123ABCD", "update", labels=OURS),
        entry("kubernetes_namespace.llama_cpp", "delete"),
        entry("kubernetes_service.llama_swap", "forget"),
    )
    result = verdict(*entries)
    assert result.headline == (
        "2 refused; 1 to add, 1 to change, 0 to replace, 1 to remove, 1 to forget"
    )
    assert [change.address for change in result.planned] == [
        "kubernetes_namespace.llama_cpp",
        "kubernetes_service.llama_swap",
        "kubernetes_service_v1.a_0123ABCD",
        "kubernetes_deployment_v1.c_0123ABCD",
    ]
    assert verdict(entries[1]).headline == "0 to add, 0 to change, 0 to replace, 0 to remove"


def test_imports_come_first_in_the_headline_and_are_not_refused() -> None:
    there = entry("kubernetes_service_v1.a_0123ABCD", "no-op", labels=OURS)
    changed = entry("kubernetes_namespace_v1.b_0123ABCD", "update", labels=OURS)
    for imported in (there, changed):
        imported["change"]["importing"] = {"id": "llama-cpp/a"}
    there["change"]["after"] = there["change"]["before"]
    result = verdict(there, changed, entry("kubernetes_service_v1.c_0123ABCD", "create"))
    assert result.headline == ("2 to import, 1 to add, 1 to change, 0 to replace, 0 to remove")
    assert len(result.planned) == 3
    assert result.refused == ()


def test_an_import_that_replaces_is_judged_as_a_replacement() -> None:
    claim = "kubernetes_persistent_volume_claim_v1.a_0123ABCD"
    imported = entry(claim, "delete", "create", labels=OURS)
    imported["change"]["importing"] = {"id": "llama-cpp/a"}
    assert reasons(verdict(imported)) == {claim: "a namespace, volume or claim"}


def test_an_object_that_is_not_ours_is_refused() -> None:
    address = "kubernetes_config_map_v1.a_0123ABCD"
    created = entry(address, "create", labels=OURS)
    result = verdict(created, allowed=(address,))
    result = replace(result, refused=(exists_already(result.changes[0]),))
    assert reasons(result)[address].startswith("exists already, without the label")
    with pytest.raises(RefusedError) as caught:
        check_refused(result)
    assert f"would create {address} as ConfigMap a_0123abcd (exists already" in str(caught.value)
    assert "`python -m ops adopt` takes over" in str(caught.value)
    assert "--allow-removal" not in str(caught.value)


def predicted(before: Json, after: Json) -> tuple[ResourceChange, ...]:
    """What Terraform would plan, from two syntheses."""

    def resource(document: Json, address: str) -> Json:
        resource_type, _, name = address.partition(".")
        result = document["resource"].get(resource_type, {}).get(name, {})
        return result | {"metadata": [result["metadata"]]} if result else {}

    return tuple(
        ResourceChange(
            address=change.address,
            type=change.address.partition(".")[0],
            namespace=change.namespace,
            name=change.name,
            action=change.action,
            before=resource(before, change.address),
            after=resource(after, change.address),
            replace_paths=(),
        )
        for change in object_changes(before, after)
    )


def test_the_table_of_the_docs_has_these_changes_and_outcomes() -> None:
    table = documented()
    assert list(table) == list(CHANGES)
    refused = {change for change, outcome in table.items() if outcome.startswith("is refused")}
    assert refused == {change for change, outcome in CHANGES.items() if outcome.refused}
    assert all(
        outcome.startswith("goes through")
        for change, outcome in table.items()
        if change not in refused
    )


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_answered_as_the_docs_say(name: str, synth: Synth) -> None:
    change = CHANGES[name]
    before, after = synth(**change.before), synth(**change.after)
    changes = predicted(before, after)
    assert changes or name == "prevent_destroy off"
    assert {refused.change.type for refused in judge(changes).refused} == change.refused


@pytest.mark.parametrize(
    "settings",
    [{}, {"gateway": GATEWAY, **WITH_KEY}, {"gateway": EXISTING_GATEWAY, **WITH_KEY}],
    ids=["no gateway", "a gateway", "a gateway that runs already"],
)
def test_an_upgrade_from_the_last_version_needs_no_allowance(settings: Json, synth: Synth) -> None:
    changes = predicted(deployed_before(), synth(**settings))
    assert judge(changes).refused == ()
    assert {change.action for change in changes} <= {"create", "update", "replace"}
    replaced = {change.type for change in changes if change.action == "replace"}
    assert replaced <= {"kubernetes_job_v1", "kubernetes_config_map_v1"}
