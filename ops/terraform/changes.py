"""Read a plan of Terraform, object by object, from `terraform show -json`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ops.errors import OpsError

Action = Literal["import", "create", "update", "replace", "delete", "forget", "no-op"]
"""`import`: Terraform records an object that exists, and may change fields of it in place.
`forget`: it removes the object from its state, and the object stays."""
VERBS: dict[Action, str] = {
    "import": "import",
    "create": "add",
    "update": "change",
    "replace": "replace",
    "delete": "remove",
    "forget": "forget",
}
"""Verb of each action, in the order of the headline."""
Identity = tuple[str, str, str]
"""Kind, namespace and name of an object."""
_ACTIONS: dict[tuple[str, ...], Action] = {
    ("no-op",): "no-op",
    ("read",): "no-op",
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("forget",): "forget",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}
"""The actions of a resource in `terraform show -json`, format version 1.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceChange:
    """What an apply would do to one resource."""

    address: str
    """Terraform's own, such as `kubernetes_job_v1.model-download_54A5F2E0`."""
    type: str
    namespace: str
    """Empty for an object without a namespace."""
    name: str
    action: Action
    before: dict[str, Any]
    """In the state, refreshed; empty for a new one."""
    after: dict[str, Any]
    """As declared; empty for a deleted one. Values known only after the apply are missing."""
    replace_paths: tuple[str, ...]
    """The fields that force a replacement: `spec.0.template`."""

    @property
    def kind(self) -> str:
        """The kind as Kubernetes spells it: `ConfigMap`."""
        return kind_of(self.type)

    @property
    def identity(self) -> Identity:
        """The object, whichever address and version of the resource's type has it."""
        return self.kind, self.namespace, self.name

    @property
    def changes_import(self) -> bool:
        """Whether it is an import that also changes the object, or what Terraform waits for."""
        return self.action == "import" and self.before != self.after

    @property
    def metadata_before(self) -> dict[str, Any]:
        """The object's metadata in the state; empty if it has no Kubernetes metadata."""
        return _metadata(self.before)


def kind_of(resource_type: str) -> str:
    """Spell a resource's type as Kubernetes does: `kubernetes_config_map_v1` is a ConfigMap."""
    words = re.sub(r"^kubernetes_|_v\d+$", "", resource_type).split("_")
    return "".join(word.capitalize() for word in words)


def has_several_pools(changes: Iterable[ResourceChange]) -> bool:
    """Whether a plan has several pools, each in a namespace of its own.

    Args:
        changes: All resources, unchanged ones included.
    """
    return sum(change.type == "kubernetes_namespace_v1" for change in changes) > 1


def label(namespace: str, name: str, *, several: bool) -> str:
    """Return an object's name; where there are several pools with its namespace, if it has one."""
    return f"{namespace}/{name}" if several and namespace else name


def read_changes(plan: dict[str, Any]) -> tuple[ResourceChange, ...]:
    """Read what an apply would do; unchanged resources are included as `no-op`.

    `resource_drift` is ignored: Terraform reports a null that became an empty map there.

    Args:
        plan: The JSON of `terraform show -json PLAN`, format version 1.

    Raises:
        OpsError: if it has an unknown action.
    """
    return tuple(_change(entry) for entry in plan.get("resource_changes", ()))


def read_vanished(plan: dict[str, Any]) -> frozenset[str]:
    """Read the addresses that the state has, and whose objects no longer exist.

    Args:
        plan: As for `read_changes`.
    """
    return frozenset(
        entry["address"]
        for entry in plan.get("resource_drift", ())
        if entry["change"]["actions"] == ["delete"]
    )


def _change(entry: dict[str, Any]) -> ResourceChange:
    change = entry["change"]
    before, after = change.get("before") or {}, change.get("after") or {}
    metadata = _metadata(after or before)
    if entry["type"] == "kubernetes_manifest":
        metadata = ((after or before).get("manifest") or {}).get("metadata") or {}
    return ResourceChange(
        address=entry["address"],
        type=entry["type"],
        namespace=_text(metadata.get("namespace")),
        name=_text(metadata.get("name")) or entry["name"],
        action=_action(entry["address"], change),
        before=before,
        after=after,
        replace_paths=tuple(
            ".".join(map(str, path)) for path in change.get("replace_paths") or ()
        ),
    )


def _action(address: str, change: dict[str, Any]) -> Action:
    actions = change["actions"]
    action = _ACTIONS.get(tuple(actions))
    if action is None:
        raise OpsError(
            f"{address}: the plan has {' and '.join(actions)!r}; expected one of "
            f"{', '.join('+'.join(known) for known in _ACTIONS)}. Use Terraform or OpenTofu 1.11"
        )
    return "import" if change.get("importing") and action in ("no-op", "update") else action


def _metadata(values: dict[str, Any]) -> dict[str, Any]:
    """The block `metadata` of a Kubernetes resource; other providers' may be anything."""
    blocks = values.get("metadata")
    if isinstance(blocks, list) and blocks and isinstance(blocks[0], dict):
        metadata: dict[str, Any] = blocks[0]
        return metadata
    return {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
