"""Compare the objects of two syntheses, matched by Terraform's address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT
from ops.commands.plan.fields import FieldChange, field_changes, parts_of
from ops.commands.plan.immutable import forces_replacement
from ops.terraform.changes import Action, kind_of, label
from ops.terraform.manifests import field_path

_TEMPLATE = "spec.template"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """An object that a merge changes."""

    address: str
    """Terraform's: `kubernetes_job_v1.model-download_2FAC35D3`."""
    kind: str
    """The kind in Kubernetes: `Job`."""
    namespace: str
    """Empty for an object without a namespace."""
    name: str
    """The name after the merge; of a deleted object, the current one."""
    action: Action
    fields: tuple[FieldChange, ...]
    """Empty for a created or deleted object."""
    forced_by: tuple[FieldChange, ...]
    """The fields that force a replacement."""
    refused: bool
    """Whether `prevent_destroy` makes Terraform refuse the whole plan, if the object is deployed.

    It does not for an object that is no longer declared, because its guard is gone too.
    """
    of_several_pools: bool = False
    """Whether base or head has several pools, in which objects have the same names."""

    @property
    def label(self) -> str:
        """The name, and where there are several pools its namespace before it."""
        return label(self.namespace, self.name, several=self.of_several_pools)

    @property
    def is_endpoint(self) -> bool:
        """Whether it is the Deployment of the serving pod."""
        return (self.kind, self.name) == ("Deployment", ENDPOINT_DEPLOYMENT)

    @property
    def restarts(self) -> tuple[FieldChange, ...]:
        """The changed fields that restart a Deployment's pods."""
        if self.kind != "Deployment" or self.action != "update":
            return ()
        return tuple(
            field for field in self.fields if f"{field.path}.".startswith(f"{_TEMPLATE}.")
        )


def object_changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[ObjectChange, ...]:
    """List what an apply would do to each object if the cluster matches the base.

    Args:
        before: The base's cdk.tf.json; empty if it does not synthesize.
        after: The head's.
    """
    several = has_several_pools(before, after)
    return tuple(
        replace(change, of_several_pools=several)
        for change in _changes(_resources(before), _resources(after))
    )


def has_several_pools(*documents: dict[str, Any]) -> bool:
    """Whether one of these syntheses has several pools, each in a namespace of its own."""
    return any(
        len(document.get("resource", {}).get("kubernetes_namespace_v1", ())) > 1
        for document in documents
    )


def setting_changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[FieldChange, ...]:
    """List the differences outside the objects: backend, provider, versions, forgotten addresses.

    Args:
        before: The base's cdk.tf.json; if it is empty, nothing is listed.
        after: The head's.
    """
    if not before:
        return ()
    names = ("terraform", "provider", "variable", "output", "data", "removed")
    old, new = (
        {name: document[name] for name in names if name in document}
        for document in (before, after)
    )
    return field_changes(old, new)


def unprotected(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """Find what `prevent_destroy` protects in the base and not in the head: address -> object."""
    old, new = _resources(before), _resources(after)
    several = has_several_pools(before, after)
    return {
        address: _object(address, old[address], several=several)
        for address in old
        if address in new and _is_protected(old[address]) and not _is_protected(new[address])
    }


def no_longer_set(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """List the fields that Terraform sets in the base and ignores in the head."""
    old, new = _resources(before), _resources(after)
    several = has_several_pools(before, after)
    return tuple(
        f"{field_path(parts)} of {_object(address, new[address], several=several)}"
        for address in new
        if address in old
        for parts in _ignored(new[address])
        if parts not in _ignored(old[address])
    )


def _changes(
    before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]
) -> Iterator[ObjectChange]:
    for address in sorted({*before, *after}):
        old, new = before.get(address), after.get(address)
        if old is None or new is None:
            action: Action = "delete" if new is None else "create"
            yield _change(address, old, old or new or {}, action)
            continue
        ignored = _ignored(new)
        fields = tuple(
            field
            for field in field_changes(old, new)
            if not any(field.parts[: len(parts)] == parts for parts in ignored)
        )
        if not fields:
            continue
        resource_type = address.split(".")[0]
        forced_by = tuple(field for field in fields if forces_replacement(resource_type, field))
        action = "replace" if forced_by else "update"
        yield _change(address, old, new, action, fields=fields, forced_by=forced_by)


def _change(
    address: str,
    before: dict[str, Any] | None,
    resource: dict[str, Any],
    action: Action,
    *,
    fields: tuple[FieldChange, ...] = (),
    forced_by: tuple[FieldChange, ...] = (),
) -> ObjectChange:
    metadata = _metadata(resource)
    return ObjectChange(
        address=address,
        kind=_kind(address),
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", address.partition(".")[2])),
        action=action,
        fields=fields,
        forced_by=forced_by,
        # Terraform reads the lifecycle of the current declaration.
        refused=action == "replace" and _is_protected(resource),
    )


def _resources(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{resource_type}.{name}": resource
        for resource_type, by_name in document.get("resource", {}).items()
        for name, resource in by_name.items()
    }


def _metadata(resource: dict[str, Any]) -> dict[str, Any]:
    metadata: Any = resource.get("metadata", {})
    found: dict[str, Any] = metadata[0] if isinstance(metadata, list) else metadata
    return found


def _object(address: str, resource: dict[str, Any], *, several: bool) -> str:
    metadata = _metadata(resource)
    name = str(metadata.get("name", ""))
    return f"{_kind(address)} {label(metadata.get('namespace', ''), name, several=several)}"


def _kind(address: str) -> str:
    return kind_of(address.split(".")[0])


def _ignored(resource: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """The fields that Terraform sets once and then ignores."""
    entries = resource.get("lifecycle", {}).get("ignore_changes", ())
    return tuple(parts_of(resource, entry) for entry in entries)


def _is_protected(resource: dict[str, Any]) -> bool:
    return bool(resource.get("lifecycle", {}).get("prevent_destroy"))
