"""The fields in which a planned object differs from the one that exists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llama_swap_config.cluster.terraform_names import PLURALS, is_text_map
from ops.terraform.changes import ResourceChange
from ops.terraform.manifests import field_path

_TERRAFORMS_OWN = ("wait_", "timeouts")
"""Fields that tell Terraform what to wait for; the cluster does not have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A field that an apply would change."""

    parts: tuple[str, ...]
    """Terraform's names; an item of a repeated block is `[name]`."""
    path: str
    """As Kubernetes spells it: `spec.template.spec.containers[llama-swap].image`."""
    before: Any
    after: Any

    @property
    def terraform_path(self) -> str:
        """The path without indexes: `spec.template.spec.container.image`."""
        return ".".join(part for part in self.parts if not part.startswith("["))


def changed_fields(change: ResourceChange) -> Iterator[FieldChange]:
    """List the fields that an apply would change, with their values."""
    for parts, before, after in _differences(change.before, change.after, ()):
        yield FieldChange(
            parts=parts,
            path=_path(parts, before, after),
            before=before,
            after=after,
        )


def _path(parts: tuple[str, ...], before: Any, after: Any) -> str:
    # A repeated block as a whole is spelled as one of its items.
    is_list = isinstance(before, list) or isinstance(after, list)
    return field_path((*parts, "[]")).removesuffix("[]") if is_list else field_path(parts)


def changed_in_cluster(change: ResourceChange) -> Iterator[FieldChange]:
    """List those of the changed fields that the cluster has, too."""
    for field in changed_fields(change):
        if not field.terraform_path.startswith(_TERRAFORMS_OWN):
            yield field


def changed_paths(change: ResourceChange) -> dict[str, str]:
    """The fields that an apply would change: Terraform's path without indexes -> Kubernetes'."""
    return {field.terraform_path: field.path for field in changed_fields(change)}


def forcing_paths(change: ResourceChange) -> Iterator[tuple[str, ...]]:
    """List the fields that force a replacement, in Terraform's names, without indexes.

    Of a new object Terraform does not know yet what the cluster sets, so only these differ.
    """
    for path in change.replace_paths:
        yield tuple(part for part in path.split(".") if not part.isdigit())


def is_given(value: Any) -> bool:
    """Whether a value is set; Terraform treats null, an empty text, list and block alike."""
    return value not in (None, "", [], {})


def _differences(
    before: Any, after: Any, parts: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """List the leaves that differ; `after` lacks values known only after the apply."""
    last = parts[-1] if parts else ""
    are_lists = isinstance(before, list) and isinstance(after, list)
    if are_lists and len(before) == len(after) == 1 and last not in PLURALS:
        yield from _differences(before[0], after[0], parts)
    elif isinstance(before, dict) and isinstance(after, dict):
        keys = {**before, **after}
        for key in keys if is_text_map(last, keys) else after:
            yield from _differences(before.get(key), after.get(key), (*parts, key))
    elif are_lists and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences(*pair, (*parts, f"[{_name(pair[1], index)}]"))
    elif before != after and (is_given(before) or is_given(after)):
        yield parts, before, after


def _name(item: Any, index: int) -> str:
    return str(item.get("name") or index) if isinstance(item, dict) else str(index)
