"""A deploy that takes over the objects of an endpoint that runs already, and its state."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from llama_swap_config.cluster.storage import CUDA_CACHE
from ops.cluster.unrecorded import Unrecorded
from ops.commands.deploy.policy import Policy
from ops.terraform.adoption import Adoption
from ops.terraform.changed_fields import FieldChange, changed_fields, forcing_paths
from ops.terraform.changes import Identity, ResourceChange
from ops.terraform.verdict import NAMED_ONLY, Refused, Verdict, is_ours, judge

_SETTINGS = {
    ("Namespace", "metadata.name"): "namespace",
    ("PersistentVolume", "metadata.name"): "volume",
    ("PersistentVolume", "spec.local.path"): "path",
    ("PersistentVolume", "spec.nfs.path"): "path",
    ("PersistentVolume", "spec.nfs.server"): "server",
    ("PersistentVolumeClaim", "metadata.name"): "claim",
    ("PersistentVolumeClaim", "spec.accessModes"): "access_mode",
    ("PersistentVolumeClaim", "spec.storageClassName"): "storage_class",
    ("PersistentVolumeClaim", "spec.volumeName"): "volume",
}
"""Kind and field -> the setting that declares it."""
_LATER = "Leave that to `python -m ops deploy` after the take-over."


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver(Policy):
    """It imports what exists, whoever made it, and lets the state forget the old addresses."""

    namespace: str
    """The endpoint's namespace: what a state has outside of it may be another project's."""
    forget: Collection[str] = ()
    """Addresses that the state may lose although nothing says that they are this endpoint's."""

    @property
    def options(self) -> dict[str, Collection[str]]:
        """The addresses that options name."""
        return {"--forget": self.forget}

    def judge(
        self,
        changes: tuple[ResourceChange, ...],
        *,
        protected: Collection[str] = (),
        adoption: Adoption | None = None,
    ) -> Verdict:
        """Judge a plan; a volume or a claim that would be replaced names what differs."""
        # A plan that stopped at prevent_destroy has no blocks, and is not applied.
        entries = _entries(changes) if adoption is None and protected else ()
        forgotten = entries if adoption is None else adoption.forgotten
        verdict = judge(
            changes, protected=protected, taken_over={each.address for each in forgotten}
        )
        return replace(verdict, refused=tuple(map(_explained, verdict.refused)))

    def adoption(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Adoption:
        """Import the objects of others, too, and forget what the state has of them."""
        return replace(
            found.adoption,
            changes=(*found.adoption.changes, *found.foreign),
            forgotten=tuple(_entries(planned)),
        )

    def foresee(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Verdict:
        """Refuse the state of another project, and a volume that another claim has."""
        adoption = self.adoption(found, planned)
        if adoption.is_empty:
            return self.judge(planned)
        known = {change.identity for change in planned if change.after} | _volumes(found)
        refused = [
            _of_another_project(each)
            for each in adoption.forgotten
            if each.identity not in known
            and not self._is_in_namespace(each)
            and each.address not in self.forget
        ]
        for change in adoption.changes:
            if holder := found.holders.get(change.address):
                refused.append(self._bound_elsewhere(change, holder, found))
        # Of the rest, the plan with import blocks is judged.
        return Verdict(changes=planned, refused=tuple(refused))

    def _is_in_namespace(self, entry: ResourceChange) -> bool:
        """Whether an entry of the state is the endpoint's namespace, or an object in it."""
        return self.namespace == (entry.name if entry.kind == "Namespace" else entry.namespace)

    def _bound_elsewhere(self, change: ResourceChange, holder: str, found: Unrecorded) -> Refused:
        """Refuse a volume to which the declared claim could not be bound."""
        namespace, _, claim = holder.partition("/")
        storage_class = found.objects[change.address]["spec"].get("storageClassName", "")
        place = _place(change)
        return Refused(
            change=change,
            reason=f"bound to claim {holder}",
            remedy=(
                f"Write the claim that has the files into {place}: "
                f'claim="{claim}", storage_class="{storage_class}".'
                if namespace == self.namespace
                else f'It is of namespace {namespace}. If that is this endpoint, set namespace="'
                f'{namespace}"; otherwise give {place} a volume of another name.'
            ),
        )


def _entries(planned: tuple[ResourceChange, ...]) -> Iterator[ResourceChange]:
    """List the entries of others that a plan would delete or forget."""
    for change in planned:
        if change.action in ("delete", "forget") and not is_ours(change):
            yield change


def _volumes(found: Unrecorded) -> set[Identity]:
    """Return the volumes of the claims that exist; another name of one is refused as such."""
    return {
        ("PersistentVolume", "", each["spec"].get("volumeName", ""))
        for each in found.objects.values()
        if each["kind"] == "PersistentVolumeClaim"
    }


def _of_another_project(entry: ResourceChange) -> Refused:
    return Refused(
        change=replace(entry, action="forget"),
        reason="perhaps of another project: neither in the namespace nor declared",
        remedy=(
            "Set state_schema to a schema of its own; or, if nothing else needs what the state "
            "knows of them, pass --forget ADDRESS for each: the objects stay."
        ),
    )


def _explained(refused: Refused) -> Refused:
    """Say which fields would replace an object that exists, and what to declare instead."""
    change = refused.change
    if change.action != "replace" or change.kind not in NAMED_ONLY:
        return replace(refused, remedy=_LATER)
    fields = tuple(_forcing_fields(change))
    differing = "; ".join(
        f"{field.path} is {field.before!r} and declared as {field.after!r}" for field in fields
    )
    declared = ", ".join(
        f"{_SETTINGS.get((change.kind, field.path), field.path)}={_as_python(field.before)}"
        for field in fields
    )
    return replace(
        refused,
        reason=f"cannot be changed: {differing}",
        remedy=f"Write what exists into {_place(change)}: {declared}.",
    )


def _place(change: ResourceChange) -> str:
    """Name the setting that declares a namespace, a volume or a claim."""
    if change.kind == "Namespace":
        return "stacks/production.py"
    metadata = (change.after or change.before)["metadata"][0]
    use = (metadata.get("labels") or {}).get("app.kubernetes.io/name")
    field = "gpu.cuda_cache" if use == CUDA_CACHE else "storage"
    return f"`{field}` of stacks/production.py"


def _forcing_fields(change: ResourceChange) -> Iterator[FieldChange]:
    """List the changed fields that force a replacement, with their values."""
    forcing = [".".join(parts) for parts in forcing_paths(change)]
    for field in changed_fields(change):
        if any(f"{field.terraform_path}.".startswith(f"{path}.") for path in forcing):
            yield field


def _as_python(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return f'"{value}"' if isinstance(value, str) else repr(value)
