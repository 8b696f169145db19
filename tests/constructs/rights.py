"""The rights of a service account, by the stack's Roles and their bindings."""

from __future__ import annotations

from itertools import product
from typing import Any

Json = dict[str, Any]
Right = tuple[str, str, str, str]


def allowed(document: Json, account: str) -> set[Right]:
    """The rights of an account: namespace, verb, resource and name."""
    rights: set[Right] = set()
    for role in roles(document, account):
        for rule in role["rule"]:
            (group,) = rule["api_groups"]
            for verb, resource, name in product(
                rule["verbs"], rule["resources"], rule.get("resource_names", ["*"])
            ):
                what = f"{group}/{resource}".removeprefix("/")
                rights.add((role["metadata"]["namespace"], verb, what, name))
    return rights


def roles(document: Json, account: str) -> list[Json]:
    """The Roles that are bound to an account."""
    by_place, bindings = (
        {
            (resource["metadata"]["namespace"], resource["metadata"]["name"]): resource
            for resource in document["resource"][kind].values()
        }
        for kind in ("kubernetes_role_v1", "kubernetes_role_binding_v1")
    )
    assert set(by_place) == set(bindings)
    assert not {kind for kind in document["resource"] if "cluster_role" in kind}
    bound = []
    for (namespace, _), binding in bindings.items():
        (subject,) = binding["subject"]
        assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "llama-cpp")
        assert binding["role_ref"]["kind"] == "Role"
        if subject["name"] == account:
            bound.append(by_place[namespace, binding["role_ref"]["name"]])
    return bound
