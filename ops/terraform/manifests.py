"""The synthesized objects as Kubernetes YAML, for GitOps and for machines without the provider.

Rules turn Terraform's names into those of Kubernetes. A block without a rule is an error, so that
nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from llama_swap_config.cluster.terraform_names import (
    KINDS,
    OF_TERRAFORM,
    PLURALS,
    SINGLE,
    TEXT_MAPS,
    camel,
    is_text_map,
)
from ops.errors import OpsError

Manifest = dict[str, Any]

_SENT_BY_PROVIDER = {"completions": 1, "parallelism": 1}
"""The API server sets no defaults in the template of a CronJob, and a change of these replaces a
CronJob that Terraform imports."""
_TABLE = "llama_swap_config/cluster/terraform_names.py"
_INTEGERS = {"fs_group", "replicas", "run_as_group", "run_as_user", "ttl_seconds_after_finished"}
_INTEGER_OR_NAME = {"port", "target_port"}


def manifests(document: dict[str, Any]) -> tuple[Manifest, ...]:
    """Turn a synthesized stack into Kubernetes objects.

    Args:
        document: The content of cdk.tf.json.

    Returns:
        The objects in the order in which they can be applied.

    Raises:
        OpsError: if a resource type, a block or a Terraform expression has no equivalent.
    """
    objects = []
    resources = document.get("resource", {})
    unknown = sorted(set(resources) - set(KINDS))
    if unknown:
        raise OpsError(
            f"{unknown[0]} has no Kubernetes manifest; expected one of {', '.join(KINDS)}. "
            f"Add it to {_TABLE}"
        )
    for resource_type, (api_version, kind) in KINDS.items():
        for resource in resources.get(resource_type, {}).values():
            fields = {key: field for key, field in resource.items() if key not in OF_TERRAFORM}
            body = _object(f"{kind} {resource['metadata']['name']}", fields)
            source = body.get("spec", {}).pop("persistentVolumeSource", None)
            if source is not None:
                body["spec"] |= source
            template = body.get("spec", {}).get("jobTemplate")
            if template is not None:
                template["spec"] = _SENT_BY_PROVIDER | template["spec"]
            objects.append({"apiVersion": api_version, "kind": kind} | body)
    return tuple(objects)


def to_yaml(objects: tuple[Manifest, ...]) -> str:
    """Write the objects as one file of several YAML documents."""
    return yaml.safe_dump_all(objects, sort_keys=False, width=96, allow_unicode=True)


def field_path(parts: Sequence[str]) -> str:
    """Spell a path into a Terraform resource as Kubernetes spells it.

    Args:
        parts: Terraform's names; an item of a repeated block is `[name]`.
    """
    shown = ""
    in_text_map = False
    for index, part in enumerate(parts):
        following = parts[index + 1] if index + 1 < len(parts) else ""
        if part.startswith("[") or in_text_map:
            shown += part if part.startswith("[") else f"[{part}]"
            in_text_map = False
            continue
        in_text_map = bool(following) and is_text_map(part, (following,))
        if part == "persistent_volume_source":
            continue
        repeated = following.startswith("[") and part in PLURALS
        name = PLURALS[part] if repeated else camel(part)
        shown += f".{name}" if shown else name
    return shown


def unescaped(text: str) -> str:
    """Undo the escapes of `${` and `%{`."""
    return text.replace("$${", "${").replace("%%{", "%{")


def _object(where: str, block: dict[str, Any]) -> dict[str, Any]:
    converted = {}
    for key, value in block.items():
        name, plain = _field(f"{where}.{key}", key, value)
        converted[name] = plain
    return converted


def _field(where: str, key: str, value: Any) -> tuple[str, Any]:
    if key in TEXT_MAPS and isinstance(value, dict):
        return camel(key), {name: _text(where, text) for name, text in value.items()}
    if isinstance(value, dict):
        return camel(key), _object(where, value)
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        blocks = [_object(where, item) for item in value]
        if key in SINGLE:
            return camel(key), blocks[0]
        if key not in PLURALS:
            raise OpsError(
                f"{where} is an unknown repeated block; expected one of "
                f"{', '.join(sorted(PLURALS))}. Add it to {_TABLE}"
            )
        return PLURALS[key], blocks
    if isinstance(value, list):
        return camel(key), [_text(where, item) for item in value]
    if isinstance(value, str):
        digits = value.isdigit() and key in _INTEGERS | _INTEGER_OR_NAME
        return camel(key), int(value) if digits else _text(where, value)
    return camel(key), value


def _text(where: str, value: Any) -> Any:
    """Undo Terraform's escapes; an expression that only Terraform can evaluate is an error."""
    if not isinstance(value, str):
        return value
    if re.search(r"(?<!\$)(?:\$\$)*\$\{|(?<!%)(?:%%)*%\{", value):
        raise OpsError(
            f"{where} is {value[:60]!r}; expected a value, not a reference to another resource"
        )
    return unescaped(value)
