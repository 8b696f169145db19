"""The synthesized objects as Kubernetes YAML, for GitOps and for machines without the provider.

Rules turn Terraform's names into those of Kubernetes. A block without a rule is an error, so that
nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from ops.errors import OpsError

Manifest = dict[str, Any]

_KINDS = {
    "kubernetes_namespace_v1": ("v1", "Namespace"),
    "kubernetes_priority_class_v1": ("scheduling.k8s.io/v1", "PriorityClass"),
    "kubernetes_persistent_volume_v1": ("v1", "PersistentVolume"),
    "kubernetes_persistent_volume_claim_v1": ("v1", "PersistentVolumeClaim"),
    "kubernetes_config_map_v1": ("v1", "ConfigMap"),
    "kubernetes_service_account_v1": ("v1", "ServiceAccount"),
    "kubernetes_role_v1": ("rbac.authorization.k8s.io/v1", "Role"),
    "kubernetes_role_binding_v1": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    "kubernetes_network_policy_v1": ("networking.k8s.io/v1", "NetworkPolicy"),
    "kubernetes_service_v1": ("v1", "Service"),
    "kubernetes_job_v1": ("batch/v1", "Job"),
    "kubernetes_cron_job_v1": ("batch/v1", "CronJob"),
    "kubernetes_deployment_v1": ("apps/v1", "Deployment"),
}
"""Terraform's resource type -> apiVersion and kind, in the order of applying."""

_OF_TERRAFORM = {
    "//",
    "count",
    "depends_on",
    "lifecycle",
    "provider",
    "timeouts",
    "wait_for_completion",
    "wait_for_load_balancer",
    "wait_for_rollout",
    "wait_until_bound",
}
_PLURALS = {
    "container": "containers",
    "egress": "egress",
    "env": "env",
    "env_from": "envFrom",
    "from": "from",
    "ingress": "ingress",
    "init_container": "initContainers",
    "items": "items",
    "match_expressions": "matchExpressions",
    "node_selector_term": "nodeSelectorTerms",
    "on_pod_condition": "onPodConditions",
    "port": "ports",
    "ports": "ports",
    "rule": "rules",
    "subject": "subjects",
    "to": "to",
    "toleration": "tolerations",
    "volume": "volumes",
    "volume_mount": "volumeMounts",
}
"""Blocks that Terraform repeats in the singular and Kubernetes lists, often in the plural."""
_SINGLE = {"pre_stop", "post_start", "spec"}
"""Blocks that are lists of at most one for the provider, and objects for Kubernetes."""
_SENT_BY_PROVIDER = {"completions": 1, "parallelism": 1}
"""The API server sets no defaults in the template of a CronJob, and a change of these replaces a
CronJob that Terraform imports."""
_TEXT_MAPS = {
    "annotations",
    "capacity",
    "data",
    "labels",
    "limits",
    "match_labels",
    "node_selector",
    "requests",
}
"""Maps with free keys."""
_INTEGERS = {"fs_group", "replicas", "run_as_group", "run_as_user", "ttl_seconds_after_finished"}
_INTEGER_OR_NAME = {"port", "target_port"}
_SPELLINGS = {"cluster_ip": "clusterIP", "external_ips": "externalIPs", "host_pid": "hostPID"}


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
    unknown = sorted(set(resources) - set(_KINDS))
    if unknown:
        raise OpsError(
            f"{unknown[0]} has no Kubernetes manifest; expected one of {', '.join(_KINDS)}. "
            "Add it to ops/terraform/manifests.py"
        )
    for resource_type, (api_version, kind) in _KINDS.items():
        for resource in resources.get(resource_type, {}).values():
            fields = {key: field for key, field in resource.items() if key not in _OF_TERRAFORM}
            body = _object(f"{kind} {resource['metadata']['name']}", fields)
            source = body.get("spec", {}).pop("persistentVolumeSource", None)
            if source is not None:
                body["spec"] |= source
            template = body.get("spec", {}).get("jobTemplate")
            if template is not None:
                template["spec"] = _SENT_BY_PROVIDER | template["spec"]
            objects.append({"apiVersion": api_version, "kind": kind} | body)
    return tuple(objects)


def kind_of_type(resource_type: str) -> tuple[str, str] | None:
    """Return the apiVersion and kind of a Terraform resource type of this stack, or None."""
    return _KINDS.get(resource_type)


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
        in_text_map = part in _TEXT_MAPS
        if part == "persistent_volume_source":
            continue
        repeated = following.startswith("[") and part in _PLURALS
        name = _PLURALS[part] if repeated else _camel(part)
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
    if key in _TEXT_MAPS and isinstance(value, dict):
        return _camel(key), {name: _text(where, text) for name, text in value.items()}
    if isinstance(value, dict):
        return _camel(key), _object(where, value)
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        blocks = [_object(where, item) for item in value]
        if key in _SINGLE:
            return _camel(key), blocks[0]
        if key not in _PLURALS:
            raise OpsError(
                f"{where} is an unknown repeated block; expected one of "
                f"{', '.join(sorted(_PLURALS))}. Add it to ops/terraform/manifests.py"
            )
        return _PLURALS[key], blocks
    if isinstance(value, list):
        return _camel(key), [_text(where, item) for item in value]
    if isinstance(value, str):
        digits = value.isdigit() and key in _INTEGERS | _INTEGER_OR_NAME
        return _camel(key), int(value) if digits else _text(where, value)
    return _camel(key), value


def _text(where: str, value: Any) -> Any:
    """Undo Terraform's escapes; an expression that only Terraform can evaluate is an error."""
    if not isinstance(value, str):
        return value
    if re.search(r"(?<!\$)(?:\$\$)*\$\{|(?<!%)(?:%%)*%\{", value):
        raise OpsError(
            f"{where} is {value[:60]!r}; expected a value, not a reference to another resource"
        )
    return unescaped(value)


def _camel(key: str) -> str:
    if key in _SPELLINGS:
        return _SPELLINGS[key]
    head, *tail = key.split("_")
    return head + "".join({"ip": "IP"}.get(word, word.capitalize()) for word in tail)
