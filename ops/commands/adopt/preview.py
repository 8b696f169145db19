"""What a take-over would do, before anybody is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ops.commands.adopt.managers import managed_by_others
from ops.report.document import Block, Document, Line, Listing, Row, Section, Table, Tone, Value
from ops.report.kubectl import kubectl
from ops.report.safe_text import cut
from ops.report.words import count
from ops.terraform.changed_fields import (
    FieldChange,
    changed_in_cluster,
    forcing_paths,
    is_given,
)
from ops.terraform.changes import ResourceChange
from ops.terraform.manifests import field_path
from ops.terraform.plan_document import terraform_document
from ops.terraform.verdict import Verdict, has_label

_MOST_OF_A_VALUE = 100
_NOT_SHOWN = re.compile(r"\benv\[[^]]*\]\.value$")
"""The value of a variable, which may be a token."""


def preview(verdict: Verdict, beside: Sequence[str] = ()) -> Document:
    """Write what is taken over from where, field by field, and what is left.

    Args:
        verdict: What the plan would do.
        beside: Sentences about what else runs in the namespace (default: none).
    """
    document = terraform_document(verdict)
    return replace(document, sections=(*document.sections, *_sections(verdict, beside)))


def _sections(verdict: Verdict, beside: Sequence[str]) -> Iterator[Section]:
    forgotten = {_key(each): each for each in verdict.planned if each.action == "forget"}
    taken = [change for change in verdict.planned if _is_taken(change)]
    if taken:
        yield Section(title="Taken over", blocks=tuple(_taken(taken, forgotten)), importance=9)
    left = [each for key, each in forgotten.items() if key not in set(map(_key, taken))]
    if left:
        yield Section(
            title="Stays in the cluster, and nothing manages it any more",
            blocks=(_left(left),),
            importance=9,
        )
    notes = [(line,) for line in (*managed_by_others(taken), *beside)]
    if notes:
        yield Section(
            title="Look at this first",
            blocks=(Listing(lines=tuple(notes), tone="changed"),),
            importance=10,
        )


def _is_taken(change: ResourceChange) -> bool:
    """Whether an object is imported; a replaced one without our label is imported first."""
    labels = change.metadata_before.get("labels") or {}
    return change.action == "import" or (change.action == "replace" and not has_label(labels))


def _key(change: ResourceChange) -> tuple[str, str, str]:
    return change.kind, change.namespace, change.name


def _taken(
    taken: list[ResourceChange], forgotten: dict[tuple[str, str, str], ResourceChange]
) -> Iterator[Block]:
    rows = []
    for change in taken:
        entry = forgotten.get(_key(change))
        origin: Line = ("the cluster",) if entry is None else (Value(entry.address),)
        tone: Tone = "replaced" if change.action == "replace" else ""
        rows.append(Row((_object(change), origin, _becomes(change)), tone))
    yield Table(header=("object", "from", ""), rows=tuple(rows))
    for change in taken:
        lines = tuple(map(_difference, _fields(change)))
        if lines:
            yield Listing(lines=(("",), _object(change), *lines))


def _becomes(change: ResourceChange) -> Line:
    if change.action == "replace":
        fields = ", ".join(field_path(parts) for parts in forcing_paths(change)) or "a field"
        pods = ", and its pods restart" if change.kind == "Deployment" else ""
        return ("deleted and made anew", pods, ": ", Value(fields), " cannot change")
    number = sum(1 for _ in _fields(change))
    return (f"{count(number, 'field')} set in place" if number else "stays as it is",)


def _fields(change: ResourceChange) -> Iterator[FieldChange]:
    """List the changed fields; what is not declared and zero is not set for Terraform."""
    for field in changed_in_cluster(change):
        if field.after is not None or field.before not in (0, False):
            yield field


def _difference(field: FieldChange) -> Line:
    hidden = _NOT_SHOWN.search(field.path) is not None
    before, after = ("(not shown)",) * 2 if hidden else map(_text, (field.before, field.after))
    return ("  ", Value(field.path), ": ", Value(before), " -> ", Value(after))


def _left(left: list[ResourceChange]) -> Listing:
    return Listing(lines=tuple(map(_stays, left)))


def _stays(change: ResourceChange) -> Line:
    line: Line = (*_object(change), ", until now ", Value(change.address))
    if not change.type.startswith("kubernetes_"):
        return line
    delete = kubectl(f"delete {change.kind.lower()} {change.name}", namespace=change.namespace)
    return (*line, "; to delete it: ", Value(delete))


def _object(change: ResourceChange) -> Line:
    return (f"{change.kind} ", Value(change.name))


def _text(value: Any) -> str:
    if not is_given(value):
        return "not set"
    if isinstance(value, list) and isinstance(value[0], dict):
        names = [str(item.get("name") or "") for item in value]
        return ", ".join(names) if all(names) else count(len(value), "block")
    return cut(value if isinstance(value, str) else json.dumps(value), _MOST_OF_A_VALUE)
