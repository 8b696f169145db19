"""Which of the stack's objects are of which pool."""

from __future__ import annotations

from collections.abc import Sequence

from ops.terraform.manifests import Manifest


def objects_of_pools(
    objects: Sequence[Manifest], namespaces: Sequence[str]
) -> tuple[tuple[Manifest, ...], ...]:
    """Divide the stack's objects among its pools.

    Args:
        objects: All objects of the stack.
        namespaces: Those of the pools, the first one first.

    Returns:
        For each pool its namespace, the objects in it, and the volumes of its claims; the first
        pool has the others too.
    """
    claims = [each for each in objects if each["kind"] == "PersistentVolumeClaim"]
    volumes = {each["spec"].get("volumeName"): each["metadata"]["namespace"] for each in claims}
    first, *further = namespaces

    def namespace(manifest: Manifest) -> str:
        name = manifest["metadata"]["name"]
        match manifest["kind"]:
            case "Namespace":
                found = name
            case "PersistentVolume":
                found = volumes.get(name, first)
            case _:
                found = manifest["metadata"].get("namespace", first)
        return found if found in further else first

    return tuple(
        tuple(manifest for manifest in objects if namespace(manifest) == pool)
        for pool in namespaces
    )
