"""NetworkPolicies of others that let our pods reach, or be reached by, more than is declared.

Such policies add up: one more can only open. What a policy allows is not weighed; that it allows
anything at all to one of our pods is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ops.cluster.api import Document
from ops.terraform.manifests import Manifest


def opening(objects: Iterable[Manifest], policies: Iterable[Document]) -> Iterator[Document]:
    """List the policies that open one of the declared pods.

    Args:
        objects: The declared objects.
        policies: Policies of their namespace that are not declared.
    """
    pods = [labels for manifest in objects if (labels := _pod_labels(manifest)) is not None]
    for policy in policies:
        spec = policy.get("spec") or {}
        selector = spec.get("podSelector") or {}
        if (spec.get("ingress") or spec.get("egress")) and any(
            _may_select(selector, labels) for labels in pods
        ):
            yield policy


def _pod_labels(manifest: Manifest) -> dict[str, str] | None:
    spec: dict[str, Any] = manifest.get("spec") or {}
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec.get("template")
    return None if template is None else template["metadata"].get("labels") or {}


def _may_select(selector: Document, labels: dict[str, str]) -> bool:
    """Whether it selects a pod; its expressions are not evaluated, as if each held."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())
