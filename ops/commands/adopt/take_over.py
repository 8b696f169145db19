"""A deploy that takes over the objects of an endpoint that runs already, and its state."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ops.cluster.api import Document
from ops.cluster.unrecorded import Unrecorded
from ops.commands.deploy.policy import Policy
from ops.report.kubectl import kubectl
from ops.terraform.adoption import Adoption
from ops.terraform.changed_fields import FieldChange, changed_fields, forcing_paths
from ops.terraform.changes import ResourceChange
from ops.terraform.verdict import NAMED_ONLY, Refused, Verdict, is_ours, judge

_WRITE = "Write what exists into `storage` of stacks/production.py: "
_SETTINGS = {
    "spec.local.path": "path",
    "spec.nfs.path": "path",
    "spec.nfs.server": "server",
    "spec.storageClassName": "storage_class",
    "spec.volumeName": "volume",
}
"""Field of a volume or a claim -> the field of `storage` that declares it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver(Policy):
    """It imports what exists, whoever made it, and lets the state forget the old addresses."""

    namespace: str
    """The endpoint's namespace: what a state has outside of it may be another project's."""
    forget: Collection[str] = ()
    """Addresses that the state may lose although nothing says that they are this endpoint's."""

    def judge(
        self,
        changes: tuple[ResourceChange, ...],
        *,
        adoption: Adoption | None = None,
        protected: Collection[str] = (),
        foreign: Collection[str] = (),
    ) -> Verdict:
        """Judge a plan; a volume or a claim that would be replaced names what differs."""
        verdict = judge(
            changes,
            protected=protected,
            foreign=foreign,
            taken_over=() if adoption is None else {each.address for each in adoption.forgotten},
        )
        return replace(verdict, refused=tuple(map(_explained, verdict.refused)))

    def adoption(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Adoption:
        """Import the objects of others, too, and forget what the state has of them."""
        # What the state has of ours at another address is moved.
        moved = set(found.adoption.recorded.values())
        return replace(
            found.adoption,
            changes=(*found.adoption.changes, *found.foreign),
            forgotten=tuple(each for each in _entries(planned) if each.address not in moved),
        )

    def foresee(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Verdict:
        """Refuse the state of another project, and a volume that another claim has."""
        adoption = self.adoption(found, planned)
        known = {_key(change) for change in planned if change.after} | _volumes(found)
        of_another = [
            each
            for each in adoption.forgotten
            if _key(each) not in known and not self._is_in_namespace(each)
        ]
        refused = [
            _of_another_project(each) for each in of_another if each.address not in self.forget
        ]
        for change in adoption.changes:
            refused += _bound_elsewhere(change, found.objects[change.address], planned)
        # The plan with import blocks decides the rest.
        return Verdict(changes=planned, refused=tuple(refused))

    def _is_in_namespace(self, entry: ResourceChange) -> bool:
        """Whether an entry of the state is the endpoint's namespace, or an object in it."""
        return self.namespace == (entry.name if entry.kind == "Namespace" else entry.namespace)


def _entries(planned: tuple[ResourceChange, ...]) -> Iterator[ResourceChange]:
    """List the entries of others that a plan would delete or forget."""
    for change in planned:
        if change.action in ("delete", "forget") and not is_ours(change):
            yield change


def _key(change: ResourceChange) -> tuple[str, str, str]:
    """The object, whichever version of the resource's type has it."""
    return change.kind, change.namespace, change.name


def _volumes(found: Unrecorded) -> set[tuple[str, str, str]]:
    """Return the volumes of the claims that exist; another name of one is refused as such."""
    return {
        ("PersistentVolume", "", each["spec"].get("volumeName", ""))
        for each in found.objects.values()
        if each["kind"] == "PersistentVolumeClaim"
    }


def _of_another_project(entry: ResourceChange) -> Refused:
    return Refused(
        change=entry,
        reason="perhaps of another project: neither in the namespace nor declared",
        remedy=(
            "Set state_schema to a schema of its own; or, if nothing else needs what the state "
            "knows of them, pass --forget ADDRESS for each: the objects stay."
        ),
    )


def _bound_elsewhere(
    change: ResourceChange, found: Document, planned: tuple[ResourceChange, ...]
) -> Iterator[Refused]:
    """Refuse a volume to which the declared claim could not be bound."""
    if change.kind != "PersistentVolume" or not (bound := found["spec"].get("claimRef")):
        return
    claims = {
        (each.namespace, each.name)
        for each in planned
        if each.kind == "PersistentVolumeClaim" and change.name in _volume_of(each)
    }
    theirs = (bound["namespace"], bound["name"])
    if theirs not in claims:
        storage_class = found["spec"].get("storageClassName", "")
        yield Refused(
            change=change,
            reason=f"bound to claim {'/'.join(theirs)}",
            remedy=f'{_WRITE}claim="{bound["name"]}", storage_class="{storage_class}".',
        )
    elif found.get("status", {}).get("phase") == "Released":
        yield Refused(
            change=change,
            reason="Released: its claim is gone",
            remedy=(
                "`"
                + kubectl(
                    f"patch pv {change.name} --type=json "
                    """-p='[{"op": "remove", "path": "/spec/claimRef"}]'"""
                )
                + "` lets a claim bind to it."
            ),
        )


def _volume_of(claim: ResourceChange) -> tuple[str, ...]:
    return tuple(spec.get("volume_name") or "" for spec in claim.after.get("spec") or ())


def _explained(refused: Refused) -> Refused:
    """Say which fields would replace an object that exists, and what to declare instead."""
    change = refused.change
    if change.action != "replace" or change.kind not in NAMED_ONLY:
        return refused
    fields = tuple(forcing_fields(change))
    differing = "; ".join(
        f"{field.path} is {field.before!r} and declared as {field.after!r}" for field in fields
    )
    declared = ", ".join(
        f"{_SETTINGS.get(field.path, field.path)}={_as_python(field.before)}" for field in fields
    )
    return replace(
        refused, reason=f"cannot be changed: {differing}", remedy=f"{_WRITE}{declared}."
    )


def forcing_fields(change: ResourceChange) -> Iterator[FieldChange]:
    """List the changed fields that force a replacement, with their values."""
    forcing = [".".join(parts) for parts in forcing_paths(change)]
    for field in changed_fields(change):
        if any(f"{field.terraform_path}.".startswith(f"{path}.") for path in forcing):
            yield field


def _as_python(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
