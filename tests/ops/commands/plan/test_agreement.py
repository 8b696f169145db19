"""No sentence of a plan contradicts Terraform's plan; tests/real/plan has Terraform's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.ignored_fields import IgnoredField
from ops.commands.plan.as_json import as_json
from ops.terraform.changes import Action, ResourceChange
from ops.terraform.verdict import Verdict, exists_already, judge
from tests.conftest import Synth
from tests.ops.commands.plan.agreement import CASES, Case, check, comparison, report, shown

Json = dict[str, Any]


def played(case: Case, base: Json, head: Json) -> Verdict:
    """Terraform's plan of a case, as it is if the provider does what the table of fields says."""
    predicted = {change.address: change for change in comparison(base, head).objects}
    changes = []
    for resource_type, resources in head["resource"].items():
        for name, resource in resources.items():
            address = f"{resource_type}.{name}"
            action: Action = "create" if case.state == "empty" else "no-op"
            if case.state == "base" and address in predicted:
                action = predicted[address].action
            changes.append(
                ResourceChange(
                    address=address,
                    type=resource_type,
                    namespace="",
                    name=resource["metadata"]["name"],
                    action=action,
                    before={} if case.state == "empty" else resource,
                    after=resource,
                    replace_paths=(),
                )
            )
    protected = [
        change.address for change in predicted.values() if change.refused and case.state == "base"
    ]
    return judge(tuple(changes), protected=protected)


@pytest.mark.parametrize("name", CASES)
def test_a_plan_says_what_terraform_does(name: str, synth: Synth) -> None:
    case = CASES[name]
    base, head = synth(**case.base), synth(**case.head)
    check(case, report(base, head, played(case, base, head)))


def test_objects_that_the_state_lacks_are_not_nothing(synth: Synth) -> None:
    case = CASES["nothing deployed"]
    created = played(case, synth(), synth()).changes
    imported = judge(tuple(replace(change, action="import") for change in created))
    text = report(synth(), synth(), imported)
    assert "exists in the cluster, and the state lacks it; a deploy imports it" in text
    assert "Nothing is deployed yet" not in text
    foreign = replace(judge(created), refused=(exists_already(created[0]),))
    text = report(synth(), synth(), foreign)
    assert "exists already, without the label" in text
    assert "Nothing is deployed yet" not in text


def test_without_a_state_a_refusal_is_conditional(synth: Synth) -> None:
    case = CASES["the volume moves"]
    compared = comparison(synth(), synth(**case.head))
    text = shown(compared)
    assert (
        "but Terraform refuses it where it is deployed: prevent_destroy guards the "
        "PersistentVolume." in text
    )
    assert "Terraform refuses this plan if it is deployed: PersistentVolume" in text
    case = CASES["the volume moves, and the guard goes"]
    compared = comparison(synth(), synth(**case.head))
    assert (
        "but a deploy refuses to remove the PersistentVolume where it is deployed without "
        "--allow-removal." in shown(compared)
    )


def test_a_plan_that_stopped_keeps_what_it_may_not_have_seen(synth: Synth) -> None:
    case = CASES["the volume moves"]
    base, head = synth(), synth(prevent_destroy=False, **case.head)
    whole = played(case, base, head)
    stopped = Verdict(changes=whole.changes[:0], refused=(), is_whole=False)
    text = report(base, head, stopped)
    assert "prevent_destroy no longer guards PersistentVolume llama-cpp-models." in text
    assert "A deploy refuses to replace PersistentVolume" in text


def test_a_field_that_is_no_longer_set_is_shown(synth: Synth) -> None:
    ignored = IgnoredField(
        kind="Deployment",
        name="llama-swap",
        path="spec.template.spec.containers[0].imagePullPolicy",
        reason="a webhook writes it",
    )
    compared = comparison(synth(), synth(ignored_fields=(ignored,)))
    assert compared.differs
    field = "spec.template.spec.containers[llama-swap].imagePullPolicy of Deployment llama-swap"
    assert as_json(compared)["no_longer_set"] == [field]
    assert f"Terraform no longer sets {field}." in shown(compared)
