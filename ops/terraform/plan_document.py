"""Write Terraform's own plan as a document, for `deploy` and `plan --refresh`."""

from __future__ import annotations

from collections.abc import Iterator

from ops.report.document import Block, Document, Line, Listing, Row, Section, Table, Tone, Value
from ops.report.words import count
from ops.terraform.changed_fields import changed_in_cluster
from ops.terraform.changes import VERBS, Action, ResourceChange, has_several_pools, label
from ops.terraform.synth import STACK
from ops.terraform.verdict import Verdict

TONES: dict[Action, Tone] = {
    "import": "added",
    "create": "added",
    "update": "changed",
    "replace": "replaced",
    "delete": "removed",
    "forget": "removed",
}


def terraform_document(verdict: Verdict) -> Document:
    """Write what an apply would do, and what a deploy refuses of it."""
    return Document(
        title=f"Plan for {STACK}: {verdict.headline}",
        sentence=_sentence(verdict),
        note=(
            "By Terraform, from its state and the cluster.",
            *((" ", Value(verdict.note)) if verdict.note else ()),
        ),
        sections=tuple(_sections(verdict)),
        tone="bad" if verdict.refused else "changed" if verdict.planned else "added",
    )


def _sentence(verdict: Verdict) -> Line:
    if not verdict.planned:
        return ("Terraform finds no change.",)
    touched = f"Terraform would touch {count(len(verdict.planned), 'object')}"
    if not verdict.refused:
        return (f"{touched}.",)
    return (f"{touched}; a deploy refuses {len(verdict.refused)} of them.",)


def _sections(verdict: Verdict) -> Iterator[Section]:
    if verdict.planned:
        yield Section(title="Terraform", blocks=tuple(_blocks(verdict)), importance=8)


def _blocks(verdict: Verdict) -> Iterator[Block]:
    reasons = {refused.change.address: refused.reason for refused in verdict.refused}
    if reasons:
        lines: list[Line] = [(f"A deploy refuses this plan. {' '.join(verdict.remedies)}",)]
        if not verdict.is_whole:
            lines.append(
                ("Terraform stopped at prevent_destroy; it may remove more than is listed.",)
            )
        yield Listing(lines=tuple(lines), tone="bad")
    several = has_several_pools(verdict.changes)
    rows = []
    for change in verdict.planned:
        reason = reasons.get(change.address)
        cells: tuple[Line, ...] = (
            (VERBS[change.action],),
            (Value(change.address),),
            (f"{change.kind} ", Value(label(change.namespace, change.name, several=several))),
            _about(change) if reason is None else (f"refused: {reason}",),
        )
        rows.append(Row(cells, TONES[change.action] if reason is None else "bad"))
    yield Table(header=("", "address", "object", ""), rows=tuple(rows))


def _about(change: ResourceChange) -> Line:
    """Say what an import changes in the cluster."""
    if change.action != "import":
        return ()
    fields = [field.path for field in changed_in_cluster(change)]
    if not fields:
        return ("exists as declared",)
    first, *others = fields
    return ("sets ", Value(first), f" and {count(len(others), 'more field')}" if others else "")
