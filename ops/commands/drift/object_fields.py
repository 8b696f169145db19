"""Compare a declared object with the one in the cluster, field by field.

Only declared fields are compared, because the API server adds others. Lists are compared whole: it
adds to no list that this repository declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ops.cluster.quantity import quantity
from ops.commands.drift.difference import ABSENT, NOT_SET, PRESENT

_ORDERED = ("command", "args")
"""Lists whose order counts; the provider sorts other lists of words."""


class ObjectField(NamedTuple):
    """A field that differs."""

    path: tuple[str, ...]
    """Keys from the root; an item of a list by its name, `[llama-swap]`, or its index."""
    found: str
    declared: str

    @property
    def name(self) -> str:
        """As kubectl spells it: `spec.template.spec.containers[llama-swap].image`."""
        return field_name(self.path)


def field_name(path: tuple[str, ...]) -> str:
    """Join keys; those of a list, or with a dot or slash, are put in brackets."""
    text = ""
    for key in path:
        if key.startswith("["):
            text += key
        elif re.search(r"[./]", key):
            text += f"[{key}]"
        else:
            text += f".{key}" if text else key
    return text


def compare_objects(live: Any, declared: Any, path: tuple[str, ...] = ()) -> Iterator[ObjectField]:
    """List the declared fields that differ in the cluster."""
    if isinstance(declared, dict) and isinstance(live, dict):
        for key, value in declared.items():
            yield from compare_objects(live.get(key), value, (*path, str(key)))
    elif isinstance(declared, list) and _is_words(declared) and _is_words(live):
        words = [[str(word) for word in side] for side in (live, declared)]
        if path[-1] not in _ORDERED:
            words = [sorted(side) for side in words]
        if words[0] != words[1]:
            yield ObjectField(path, *(" ".join(side) or NOT_SET for side in words))
    elif isinstance(declared, list) and isinstance(live, list):
        live_items, declared_items = keyed(live), keyed(declared)
        for key in dict.fromkeys((*declared_items, *live_items)):
            yield from _entry(live_items.get(key), declared_items.get(key), (*path, f"[{key}]"))
    elif not _same(live, declared):
        yield ObjectField(path, _text(live), _text(declared))


def covers(parts: Sequence[str], document: Any, path: tuple[str, ...]) -> bool:
    """Whether a field of the settings is this one, or above it.

    Args:
        parts: Its keys; an item of a list is `[name]` or `[0]`.
        document: The declared object.
        path: As `compare_objects` lists it.
    """
    keys: list[str] = []
    for part in parts:
        key = part
        if isinstance(document, list):
            items, item = keyed(document), part[1:-1]
            if item not in items and item.isdigit():
                item = dict(enumerate(items)).get(int(item), item)
            key, document = f"[{item}]", items.get(item)
        else:
            document = document.get(part) if isinstance(document, dict) else None
        keys.append(key)
    return path[: len(keys)] == tuple(keys)


def _entry(live: Any, declared: Any, path: tuple[str, ...]) -> Iterator[ObjectField]:
    if declared is None:
        yield ObjectField(path, PRESENT if isinstance(live, dict) else _text(live), NOT_SET)
    elif live is None:
        yield ObjectField(path, ABSENT if isinstance(declared, dict) else NOT_SET, _text(declared))
    else:
        yield from compare_objects(live, declared, path)


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)


def keyed(items: list[Any]) -> dict[str, Any]:
    """Key the items of a list by their unique names, or by their index."""
    names = [
        item.get("name") or item.get("mountPath") or item.get("mount_path")
        for item in items
        if isinstance(item, dict)
    ]
    if len(names) == len(items) and all(names) and len(set(names)) == len(names):
        return {str(name): item for name, item in zip(names, items, strict=True)}
    return {str(index): item for index, item in enumerate(items)}


def _same(live: Any, declared: Any) -> bool:
    if live == declared or (not live and not declared):
        return True
    wanted = quantity(declared)
    return wanted is not None and wanted == quantity(live)


def _text(value: Any) -> str:
    if value is None:
        return NOT_SET
    if isinstance(value, bool):
        return str(value).lower()
    return PRESENT if isinstance(value, dict | list) else str(value)


def last_writer(document: dict[str, Any], path: tuple[str, ...]) -> tuple[str, float | None]:
    """Find who wrote a field last, and when.

    Args:
        document: The object, with its managedFields.
        path: The field.

    Returns:
        The field manager and its time in seconds since 1970; an empty text and None if the
        object has no owner of the field.
    """
    entries = [
        entry
        for entry in document.get("metadata", {}).get("managedFields") or ()
        if entry.get("subresource") != "status"
    ]
    owning = [entry for entry in entries if _owns(entry.get("fieldsV1"), path)]
    if not owning:
        return "", None
    last = max(owning, key=lambda entry: entry.get("time") or "")
    return str(last.get("manager") or ""), epoch(last.get("time"))


def _owns(fields: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(fields, dict):
            return False
        below = fields.get(f"f:{key}")
        if below is None and key.startswith("["):
            named = f'"{key[1:-1]}"'
            below = next(
                (member for name, member in fields.items() if name[:2] == "k:" and named in name),
                None,
            )
        if below is None:
            return False
        if below == {}:  # It owns everything below.
            return True
        fields = below
    return True


def epoch(text: Any) -> float | None:
    """Read a time of the API; None if it is not one."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
