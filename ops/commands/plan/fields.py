"""Compare two versions of a Terraform resource, field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ops.cluster.quantity import quantity
from ops.terraform.changed_fields import is_given
from ops.terraform.manifests import field_path

_NOT_OF_THE_OBJECT = frozenset({"//", "count", "depends_on", "lifecycle", "provider"})
_SETS = frozenset({"access_modes", "mount_options", "verbs", "api_groups", "resource_names"})
"""Lists whose order Terraform ignores."""
_QUANTITIES = frozenset({"capacity", "limits", "requests"})
_STEP = re.compile(r"([a-z]\w*)(?=[.\[]|$)|\[(\d+)\]|\[\"([^\"]+)\"\]", re.ASCII)
_NAMES = ("name", "key", "mount_path", "type")
"""Keys of the items of a repeated block: the first of these that is unique in all items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field that differs."""

    path: str
    """Terraform's, without indexes: `spec.template.spec.container.image`."""
    parts: tuple[str, ...]
    """The same with the keys of repeated blocks, as `[name]`."""
    before: Any
    """None: not set."""
    after: Any
    """None: not set."""
    block: str
    """Path of the outermost block that is added or removed with it; empty: both sides have it."""

    @property
    def kubernetes_path(self) -> str:
        """As Kubernetes spells it: `spec.template.spec.containers[llama-swap].image`."""
        return field_path(self.parts)


def field_changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[FieldChange, ...]:
    """List the differences between two versions of a resource, without Terraform's own fields.

    Args:
        before: The resource of cdk.tf.json.
        after: The same resource, later.
    """
    old, new = (
        {key: value for key, value in resource.items() if key not in _NOT_OF_THE_OBJECT}
        for resource in (before, after)
    )
    return tuple(_changes(old, new, (), ""))


def parts_of(resource: dict[str, Any], path: str) -> tuple[str, ...]:
    """Spell a path of Terraform, such as `spec[0].container[0].env`, as `FieldChange.parts`.

    Args:
        resource: The resource of cdk.tf.json, whose items have names.
        path: The path.
    """
    parts: list[str] = []
    value: Any = resource
    for name, index, key in _STEP.findall(path):
        if name:
            parts.append(name)
            value = _block(value)
            value = value.get(name) if isinstance(value, dict) else None
        elif key:
            parts.append(key)
        elif _is_list(value) and _block(value) is value:
            items = _items(value, value)[0] or {}
            if int(index) < len(items):
                item = list(items)[int(index)]
                parts.append(item)
                value = items[item]
    return tuple(parts)


def _changes(before: Any, after: Any, parts: tuple[str, ...], block: str) -> Iterator[FieldChange]:
    before, after = _block(before), _block(after)
    old, new = _items(before, after)
    if old is not None and new is not None:
        if not block and parts and is_given(before) is not is_given(after):
            block = _path(parts)
        for key in {**old, **new}:
            inner = block
            if key.startswith("[") and not inner and (key in old) is not (key in new):
                inner = _path(parts)
            yield from _changes(old.get(key), new.get(key), (*parts, key), inner)
        if list(old) != list(new) and set(old) == set(new) and _is_list(before):
            yield _change(parts, ", ".join(old), ", ".join(new), block)
    elif not _same(parts, before, after):
        yield _change(parts, before, after, block)


def _change(parts: tuple[str, ...], before: Any, after: Any, block: str) -> FieldChange:
    return FieldChange(path=_path(parts), parts=parts, before=before, after=after, block=block)


def _path(parts: Sequence[str]) -> str:
    return ".".join(part for part in parts if not part.startswith("["))


def _block(value: Any) -> Any:
    """Unwrap a block without a name that Terraform puts into a list of one."""
    if _is_list(value) and len(value) == 1 and not any(name in value[0] for name in _NAMES):
        return value[0]
    return value


def _is_list(value: Any) -> bool:
    """Whether it is a repeated block."""
    return isinstance(value, list) and bool(value) and all(isinstance(e, dict) for e in value)


def _items(before: Any, after: Any) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return both sides as members with keys if they are blocks; a missing side has none."""
    present = [side for side in (before, after) if is_given(side)]
    if not present:
        return None, None
    if all(isinstance(side, dict) for side in present):
        return before or {}, after or {}
    lists = [[side] if isinstance(side, dict) else side for side in present]
    if not all(_is_list(side) for side in lists):
        return None, None
    name = next(
        (
            candidate
            for candidate in _NAMES
            if all(_names_all(candidate, items) for items in lists)
        ),
        None,
    )
    old, new = _keyed(before, name), _keyed(after, name)
    return old, _under_old_names(old, new)


def _under_old_names(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Keep the key of a renamed item: Terraform compares by position."""
    gone = [key for key in old if key not in new]
    come = [key for key in new if key not in old]
    if len(gone) != len(come):
        return new
    renamed = dict(zip(come, gone, strict=True))
    return {renamed.get(key, key): item for key, item in new.items()}


def _names_all(name: str, items: list[dict[str, Any]]) -> bool:
    names = [item.get(name) for item in items]
    return None not in names and len(set(map(str, names))) == len(names)


def _keyed(value: Any, name: str | None) -> dict[str, Any]:
    if not is_given(value):
        return {}
    items = [value] if isinstance(value, dict) else value
    return {f"[{index if name is None else item[name]}]": item for index, item in enumerate(items)}


def _same(parts: tuple[str, ...], before: Any, after: Any) -> bool:
    if not is_given(before) or not is_given(after):
        return is_given(before) is is_given(after)
    name = next((part for part in reversed(parts) if not part.startswith("[")), "")
    if isinstance(before, list) and isinstance(after, list):
        if name in _SETS:
            return sorted(map(str, before)) == sorted(map(str, after))
        return before == after
    if len(parts) > 1 and parts[-2] in _QUANTITIES:
        quantities = quantity(before), quantity(after)
        if None not in quantities:
            return quantities[0] == quantities[1]
    return _text(before) == _text(after)


def _text(value: Any) -> str:
    """Write a value as text; Terraform converts numbers, booleans and texts by its schema."""
    return str(value).lower() if isinstance(value, bool) else str(value)
