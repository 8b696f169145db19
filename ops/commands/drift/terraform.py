"""Compare Terraform's refreshed state with the declaration, by what its plan would change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from llama_swap_config.cluster.terraform_names import FREE_MAPS, PLURALS, camel
from ops.cluster import environment, unrecorded
from ops.cluster.unrecorded import Unrecorded
from ops.commands.drift.cluster import configuration_findings, content_text, without_consequences
from ops.commands.drift.declared import DEPLOY, Declared, field_finding, presence_finding
from ops.commands.drift.difference import (
    ABSENT,
    NOT_SET,
    PRESENT,
    Finding,
    Look,
    Value,
    value_text,
)
from ops.commands.drift.object_fields import field_name, keyed
from ops.terraform.changed_fields import forcing_paths
from ops.terraform.changes import ResourceChange
from ops.terraform.program import Program
from ops.terraform.run import Terraform
from ops.terraform.verdict import refusal

_WHERE = "in Terraform's refreshed state"
_MARGIN_S = 2
_NOTHING: Mapping[str, str] = MappingProxyType({})
_BROKEN_OFF = "its plan stopped at prevent_destroy; there may be more differences"


def look(declared: Declared, *, timeout_s: float, pool: str | None = None) -> Look:
    """Plan against state and cluster without locking the state.

    Args:
        declared: The working tree.
        pool: List only what is of this pool (default: all of them).
        timeout_s: Time limit in seconds; Terraform is ended a moment earlier, so that it does not
            outlive this command.

    Raises:
        OpsError: if PostgreSQL, the cluster or the provider is missing, or it cannot plan.
    """
    deadline = time.monotonic() + max(timeout_s - _MARGIN_S, 0.1)
    program = environment.check_terraform(None)
    environment.check_postgresql()
    target = environment.check_cluster()
    note = _within(declared, program, deadline).init()
    with _within(declared, program, deadline).saved_plan(lock=False) as plan:
        found = None if plan.protected else unrecorded.find(plan, target)
        moved = {} if found is None else found.adoption.recorded
        existing = _existing(found)
        changes = [
            (pool_of(declared, change), change)
            for change in plan.changes
            # An object that the state has at an older address keeps its entry, moved.
            if change.address not in moved and change.address not in moved.values()
        ]
        notes = (note, _BROKEN_OFF if plan.protected else "")
    findings: list[Finding] = []
    for chosen in declared.chosen(pool):
        found_here = [
            replace(finding, pool=chosen.pool)
            for owner, change in changes
            if owner is chosen
            for finding in change_findings(chosen, change, existing=existing)
        ]
        findings += without_consequences(found_here)
    return Look(findings=tuple(findings), notes=tuple(text for text in notes if text))


def pool_of(declared: Declared, change: ResourceChange) -> Declared:
    """Return the pool whose object it is; what is of none of the others is the first one's."""
    for pool in declared.further:
        names = {(it["kind"], it["metadata"]["name"]) for it in pool.objects}
        of_no_namespace = not change.namespace and (change.kind, change.name) in names
        if change.namespace == pool.settings.namespace or of_no_namespace:
            return pool
    return declared


def _within(declared: Declared, program: Program, deadline: float) -> Terraform:
    timeout_s = max(deadline - time.monotonic(), 0.1)
    return Terraform(declared.directory, program=program, timeout_s=timeout_s)


def _existing(found: Unrecorded | None) -> dict[str, str]:
    """Say of what exists although the state lacks it: address -> what a deploy does with it."""
    if found is None:
        return {}
    return {
        change.address: f"it exists in the cluster, and {DEPLOY} imports it"
        for change in found.adoption.changes
    } | {
        change.address: f"an object of that name exists that is not this stack's, so {DEPLOY} "
        "refuses; `python -m ops adopt` takes it over"
        for change in found.foreign
    }


def change_findings(
    declared: Declared, change: ResourceChange, *, existing: Mapping[str, str] = _NOTHING
) -> Iterator[Finding]:
    """List what a plan would change of an object.

    Args:
        declared: The working tree.
        change: What an apply would do.
        existing: The addresses whose objects exist although the state lacks them, and what a
            deploy does with them (default: none).
    """
    if change.action == "no-op":
        return
    kind, refused = change.kind, _refusal(change)
    removal = refused or f"{DEPLOY} deletes it"
    before_name = str(change.metadata_before.get("name", change.name))
    if change.action == "replace" and before_name != change.name:
        yield _presence(kind, before_name, PRESENT, removal)
    if change.action in ("delete", "forget"):
        yield _presence(kind, change.name, PRESENT, removal)
    elif change.action == "create" or before_name != change.name:
        creates = existing.get(change.address, f"{DEPLOY} creates it")
        yield _presence(kind, change.name, ABSENT, creates)
    else:
        subject = f"{kind} {value_text('name', change.name)}"
        for finding in _changed_fields(declared, change, subject):
            yield finding if refused is None else replace(finding, remedy=refused)


def _refusal(change: ResourceChange) -> str | None:
    reason = refusal(change)
    if reason is None:
        return None
    return f'{DEPLOY} refuses that ({reason}); see docs/operating.md, "What a deploy refuses"'


def _presence(kind: str, name: str, text: str, remedy: str) -> Finding:
    value, declared = Value(text=text, where=_WHERE), ABSENT if text == PRESENT else PRESENT
    return presence_finding(f"{kind} {value_text('name', name)}", value, declared, remedy)


def _changed_fields(declared: Declared, change: ResourceChange, subject: str) -> Iterator[Finding]:
    for path, before, after in _fields(change.before, change.after):
        if change.action == "replace" and not _forces_replacement(change, path):
            continue
        name = field_name(path)
        if path[0] == "data" and isinstance(before, str) and isinstance(after, str):
            if path[-1] == declared.program.config_key:
                place = Value(text="", where=_WHERE)
                findings = list(configuration_findings(declared, before, place))
                yield from findings
                if findings:
                    continue
            before, after = content_text(before), content_text(after)
        value = Value(text=value_text(name, _text(before)), where=_WHERE)
        yield field_finding(subject, name, value, _text(after))


def _forces_replacement(change: ResourceChange, path: tuple[str, ...]) -> bool:
    keys = [key for key in path if not key.startswith("[")]
    return any(
        all(
            key in (part, camel(part), PLURALS.get(part))
            for key, part in zip(keys, parts, strict=False)
        )
        for parts in forcing_paths(change)
    )


def _fields(
    before: Any, after: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """List the fields in which two values of a plan differ, without values not yet known."""
    if isinstance(before, dict) and isinstance(after, dict):
        free = bool(path) and path[-1] in FREE_MAPS
        for key in dict.fromkeys((*after, *before)):
            if free or key in after:
                name = key if free else _spelling(key, before.get(key) or after.get(key))
                yield from _fields(before.get(key), after.get(key), (*path, name))
    elif _is_blocks(before) and _is_blocks(after):
        old, new = keyed(before), keyed(after)
        single = len(before) == len(after) == 1 and path[-1] not in PLURALS.values()
        for key in dict.fromkeys((*new, *old)):
            inner = path if single else (*path, f"[{key}]")
            yield from _fields(old.get(key), new.get(key), inner)
    elif before != after and (before or after):
        yield path, before, after


def _is_blocks(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(block, dict) for block in value)


def _spelling(key: str, value: Any) -> str:
    return PLURALS[key] if _is_blocks(value) and key in PLURALS else camel(key)


def _text(value: Any) -> str:
    if value in (None, "", [], {}):
        return NOT_SET
    if isinstance(value, list) and _is_blocks(value):
        return PRESENT
    if isinstance(value, bool):
        return str(value).lower()
    return PRESENT if isinstance(value, dict) else str(value)
