"""The fields in which a planned object differs from the one that exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_swap_config.cluster.terraform_names import PLURALS, TEXT_MAPS
from ops.terraform.changes import ResourceChange
from ops.terraform.manifests import field_path


def changed_paths(change: ResourceChange) -> dict[str, str]:
    """The fields that an apply would change: Terraform's path without indexes -> Kubernetes'."""
    return {
        ".".join(part for part in parts if not part.startswith("[")): field_path(parts)
        for parts in _paths(change.before, change.after, ())
    }


def forcing_paths(change: ResourceChange) -> Iterator[tuple[str, ...]]:
    """List the fields that force a replacement, in Terraform's names, without indexes.

    Of a new object Terraform does not know yet what the cluster sets, so only these differ.
    """
    for path in change.replace_paths:
        yield tuple(part for part in path.split(".") if not part.isdigit())


def is_given(value: Any) -> bool:
    """Whether a value is set; Terraform treats null, an empty list and no block alike."""
    return value not in (None, [], {})


def _paths(before: Any, after: Any, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """List the leaves that differ; `after` lacks values known only after the apply."""
    last = parts[-1] if parts else ""
    are_lists = isinstance(before, list) and isinstance(after, list)
    if are_lists and len(before) == len(after) == 1 and last not in PLURALS:
        yield from _paths(before[0], after[0], parts)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after} if last in TEXT_MAPS else after:
            yield from _paths(before.get(key), after.get(key), (*parts, key))
    elif are_lists and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _paths(*pair, (*parts, f"[{_name(pair[1], index)}]"))
    elif before != after and (is_given(before) or is_given(after)):
        yield parts


def _name(item: Any, index: int) -> str:
    return str(item.get("name") or index) if isinstance(item, dict) else str(index)
