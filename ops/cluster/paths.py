"""Paths of objects in the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plural(kind: str) -> str:
    """Spell a kind as its resource: `NetworkPolicy` as `networkpolicies`."""
    lower = kind.lower()
    if lower.endswith("y"):
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith("s") else f"{lower}s"


def collection_path(manifest: Mapping[str, Any]) -> str:
    """Return the path of all objects of a kind, in the manifest's namespace if it has one."""
    version, resource = manifest["apiVersion"], plural(manifest["kind"])
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = manifest["metadata"].get("namespace")
    return f"{root}/namespaces/{namespace}/{resource}" if namespace else f"{root}/{resource}"


def object_path(manifest: Mapping[str, Any]) -> str:
    """Return the path of one object."""
    return f"{collection_path(manifest)}/{manifest['metadata']['name']}"
