"""`lifecycle.ignore_changes` of the resources, from fields as Kubernetes spells them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from constructs import terraform as tf

from llama_swap_config.cluster.ignored_fields import IgnoredField
from llama_swap_config.cluster.terraform_names import (
    KINDS,
    OF_TERRAFORM,
    PLURALS,
    SINGLE,
    TEXT_MAPS,
    camel,
)
from llama_swap_config.errors import require_setting

_TYPES = {kind: resource_type for resource_type, (_, kind) in KINDS.items()}


def ignore_changes(
    resources: Iterable[object],
    fields: Iterable[IgnoredField],
    *,
    required: Iterable[IgnoredField],
) -> None:
    """Let Terraform set fields only when it creates their objects.

    Args:
        resources: All resources of a pool; other constructs do not matter.
        fields: The fields; those of other objects do nothing.
        required: Those of them whose object must exist.

    Raises:
        ConfigError: when there is no such object, or it has no such field.
    """
    fields, found = tuple(fields), set[IgnoredField]()
    kinds = {_TYPES[field.kind] for field in fields}
    for resource in resources:
        if (
            not isinstance(resource, tf.TerraformResource)
            or resource.terraform_resource_type not in kinds
        ):
            continue
        resource_type = resource.terraform_resource_type
        (values,) = resource.to_terraform()["resource"][resource_type].values()
        kind, name = KINDS[resource_type][1], values["metadata"]["name"]
        of_it = [field for field in fields if field.is_of(kind, name)]
        if of_it:
            resource.lifecycle = tf.lifecycle(
                prevent_destroy=bool(values.get("lifecycle", {}).get("prevent_destroy")),
                ignore_changes=tuple(
                    _terraform_path(field, type(resource), values) for field in of_it
                ),
            )
            found.update(of_it)
    for field in required:
        require_setting(
            field in found,
            "ignored_fields.name",
            field.name,
            f"the name of a {field.kind} of this stack",
        )


def _terraform_path(field: IgnoredField, resource: type, values: dict[str, Any]) -> str:
    """Spell a field as Terraform does: `spec[0].template[0].spec[0].container[0].image`."""
    module = sys.modules[resource.__module__]
    struct, declared, shown = resource.__name__, values, ""
    parts = list(field.parts)
    known = f"{struct}Config"
    while parts:
        name = _field(getattr(module, known), parts.pop(0))
        _require(field, name is not None, f"a field of a {field.kind} that Terraform knows")
        assert name is not None  # noqa: S101 - for the type checker.
        shown += f".{name}" if shown else name
        value = declared.get(name)
        if name in TEXT_MAPS:
            _require(field, len(parts) <= 1, f"one key of {camel(name)}")
            _not_ours(field, name, value, parts)
            return shown + "".join(f'["{key}"]' for key in parts)
        struct += "".join(word.capitalize() for word in name.split("_"))
        if not parts:
            return shown
        _require(field, hasattr(module, struct), "a field without anything below it")
        blocks = value if isinstance(value, list) else [] if value is None else [value]
        index = 0
        if parts[0].startswith("["):
            is_list = isinstance(value, list) and name not in SINGLE
            _require(field, is_list, f"{camel(name)} without an item, because it is no list")
            index = _index(field, name, blocks, parts.pop(0)[1:-1])
        else:
            _require(
                field, name not in PLURALS, f"an item of {PLURALS.get(name)}, by name or position"
            )
        _require(field, blocks, "a field in a block that the stack declares, or that whole block")
        shown, declared, known = f"{shown}[{index}]", blocks[index], struct
    return shown


def _field(struct: type, kubernetes_name: str) -> str | None:
    """Find the provider's name of a field; None if it has none."""
    return next(
        (
            name
            for name, value in vars(struct).items()
            if isinstance(value, property)
            and name not in OF_TERRAFORM
            and kubernetes_name in (camel(name), PLURALS.get(name))
        ),
        None,
    )


def _index(field: IgnoredField, name: str, blocks: list[Any], item: str) -> int:
    names = [str(block.get("name", index)) for index, block in enumerate(blocks)]
    _require(
        field,
        item in names or (item.isdigit() and int(item) < len(names)),
        f"one of the declared items of {PLURALS.get(name, camel(name))}: {', '.join(names)}",
    )
    return names.index(item) if item in names else int(item)


def _not_ours(field: IgnoredField, name: str, value: Any, keys: list[str]) -> None:
    """Refuse the labels and annotations that the stack itself sets and reads."""
    if name not in ("annotations", "labels"):
        return
    ours = sorted(key for key in value or () if key in keys or not keys)
    _require(field, not ours, f"{name} that the stack does not set; it sets {', '.join(ours)}")


def _require(field: IgnoredField, condition: object, expected: str) -> None:
    require_setting(condition, "ignored_fields.path", field.path, expected)
