"""What a take-over would do, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llama_swap_config.cluster.terraform_names import KINDS
from ops.commands.adopt.managers import managed_by_others
from ops.report.document import Block, Document, Line, Listing, Row, Section, Table, Tone, Value
from ops.report.kubectl import kubectl
from ops.report.words import count
from ops.terraform.changed_fields import (
    FieldChange,
    changed_in_cluster,
    forcing_paths,
)
from ops.terraform.changes import Identity, ResourceChange
from ops.terraform.field_values import before_and_after
from ops.terraform.manifests import field_path
from ops.terraform.plan_document import terraform_document
from ops.terraform.verdict import NAMED_ONLY, Verdict, has_label

_DELETABLE = frozenset(kind for _, kind in KINDS.values()) - frozenset(NAMED_ONLY)
_NOT_SET: Line = ("not set",)


def preview(verdict: Verdict, beside: Sequence[str] = ()) -> Document:
    """Write what is taken over from where, field by field, and what is left.

    Args:
        verdict: What the plan would do.
        beside: Sentences about what else runs in the namespace (default: none).
    """
    document = terraform_document(verdict)
    return replace(document, sections=(*document.sections, *_sections(verdict, beside)))


def _sections(verdict: Verdict, beside: Sequence[str]) -> Iterator[Section]:
    forgotten = {each.identity: each for each in verdict.planned if each.action == "forget"}
    taken = [change for change in verdict.planned if _is_taken(change)]
    notes = [(line,) for line in (*managed_by_others(taken), *beside)]
    if notes:
        yield Section(
            title="Before you answer",
            blocks=(Listing(lines=tuple(notes), tone="changed"),),
            importance=10,
        )
    if taken:
        yield Section(title="Taken over", blocks=tuple(_taken(taken, forgotten)), importance=9)
    declared = {change.identity for change in verdict.changes if change.after}
    left = [each for identity, each in forgotten.items() if identity not in declared]
    # Where a plan is refused, its import blocks may be missing.
    if left and not verdict.refused:
        yield Section(
            title="Stays in the cluster, and nothing manages it any more",
            blocks=(Listing(lines=tuple(map(_stays, left))),),
            importance=9,
        )


def _is_taken(change: ResourceChange) -> bool:
    """Whether an object is imported; a replaced one without our label is imported first."""
    labels = change.metadata_before.get("labels") or {}
    return change.action == "import" or (change.action == "replace" and not has_label(labels))


def _taken(
    taken: list[ResourceChange], forgotten: Mapping[Identity, ResourceChange]
) -> Iterator[Block]:
    rows = []
    for change in taken:
        entry = forgotten.get(change.identity)
        origin: Line = ("the cluster",) if entry is None else (Value(entry.address),)
        tone: Tone = "replaced" if change.action == "replace" else ""
        rows.append(Row((_object(change), origin, _becomes(change)), tone))
    yield Table(header=("object", "from", ""), rows=tuple(rows))
    for change in taken:
        lines = tuple(map(_difference, _fields(change)))
        if lines:
            yield Listing(lines=(("",), _object(change), *lines))


def _becomes(change: ResourceChange) -> Line:
    changed = tuple(_fields(change))
    restarts = ", and its pods restart" if _restarts_pods(change, changed) else ""
    if change.action == "replace":
        forcing = ", ".join(field_path(parts) for parts in forcing_paths(change)) or "a field"
        return ("deleted and made anew", restarts, ": ", Value(forcing), " cannot change")
    if not changed:
        return ("stays as it is",)
    return (f"{count(len(changed), 'field')} set in place", restarts)


def _restarts_pods(change: ResourceChange, changed: Iterable[FieldChange]) -> bool:
    """Whether the change replaces the pods of a Deployment."""
    return change.kind == "Deployment" and (
        change.action == "replace"
        or any(f"{field.terraform_path}.".startswith("spec.template.") for field in changed)
    )


def _fields(change: ResourceChange) -> Iterator[FieldChange]:
    """List the changed fields; what is not declared and zero is not set for Terraform."""
    for field in changed_in_cluster(change):
        if field.after is not None or field.before not in (0, False):
            yield field


def _difference(field: FieldChange) -> Line:
    before, after = before_and_after(field.parts, field.before, field.after)
    named = tuple(map(_names, (field.before, field.after)))
    return (
        "  ",
        Value(field.path),
        ": ",
        *(named[0] or before or _NOT_SET),
        " -> ",
        *(named[1] or after or _NOT_SET),
    )


def _names(value: Any) -> Line:
    """The names of repeated blocks, which are too long to be shown; nothing for another value."""
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return ()
    names = [str(item.get("name") or "") for item in value]
    return (Value(", ".join(names)),) if all(names) else (count(len(value), "block"),)


def _stays(change: ResourceChange) -> Line:
    line: Line = (*_object(change), ", until now ", Value(change.address))
    if change.kind not in _DELETABLE:
        return line
    delete = kubectl(f"delete {change.kind.lower()} {change.name}", namespace=change.namespace)
    return (*line, "; to delete it: ", Value(delete))


def _object(change: ResourceChange) -> Line:
    return (f"{change.kind} ", Value(change.name))
