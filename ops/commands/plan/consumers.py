"""Compare the consumers of two trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ops.commands.plan.models import ModelField

Action = Literal["added", "changed", "removed"]

Consumers = tuple[dict[str, Any], ...]
"""Output of `facts_script` for each consumer: its fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerChange:
    """A consumer that a merge changes."""

    name: str
    action: Action
    fields: tuple[ModelField, ...]
    """What it may do; of a removed one none."""


def consumer_changes(before: Consumers, after: Consumers) -> tuple[ConsumerChange, ...]:
    """Compare the consumers; one with a new name is another one, with keys of its own."""
    old, new = _by_name(before), _by_name(after)
    changes = [
        ConsumerChange(
            name=name,
            action="changed" if name in old else "added",
            fields=_fields(old.get(name, {}), consumer),
        )
        for name, consumer in new.items()
        if old.get(name) != consumer
    ]
    changes += [
        ConsumerChange(name=name, action="removed", fields=()) for name in old if name not in new
    ]
    return tuple(changes)


def _by_name(consumers: Consumers) -> dict[str, dict[str, Any]]:
    return {str(consumer["name"]): consumer for consumer in consumers}


def _fields(before: dict[str, Any], after: dict[str, Any]) -> tuple[ModelField, ...]:
    return tuple(
        ModelField(name=name, before=before.get(name), after=after.get(name))
        for name in {**before, **after}
        if name != "name" and before.get(name) != after.get(name)
    )
