"""Which objects a plan has to replace with a volume or a claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ops.terraform.changes import ResourceChange

_VOLUME, _CLAIM = "PersistentVolume", "PersistentVolumeClaim"


def volume_users(changes: Sequence[ResourceChange]) -> tuple[str, ...]:
    """Return the addresses of the objects to replace with a replaced volume or claim.

    Kubernetes deletes a volume after its claim, and a claim after every pod that mounts it, even a
    completed one. Terraform would change those pods afterwards, and wait for the claim for ever.
    A volume whose claim is gone is bound by no other claim.
    """
    claims = [change for change in changes if change.kind == _CLAIM]
    volumes = {change.name for change in changes if _is_replaced(change, _VOLUME)} | {
        name for claim in claims if _is_replaced(claim, _CLAIM) for name in _volumes_of(claim)
    }
    bound = {claim.name for claim in claims if volumes.intersection(_volumes_of(claim))}
    replaced = bound | {claim.name for claim in claims if _is_replaced(claim, _CLAIM)}
    return tuple(
        change.address
        for change in changes
        if change.action in ("no-op", "update")
        and (
            (change.kind == _VOLUME and change.name in volumes)
            or (change.kind == _CLAIM and change.name in bound)
            or not replaced.isdisjoint(_mounted(change.before))
        )
    )


def _is_replaced(change: ResourceChange, kind: str) -> bool:
    return change.kind == kind and change.action == "replace"


def _volumes_of(claim: ResourceChange) -> Iterator[str]:
    for spec in claim.before.get("spec") or ():
        if name := spec.get("volume_name"):
            yield name


def _mounted(value: Any) -> Iterator[str]:
    """Find the names of the claims that a pod of an object mounts."""
    if isinstance(value, list):
        for item in value:
            yield from _mounted(item)
    elif isinstance(value, dict):
        for claim in value.get("persistent_volume_claim") or ():
            yield claim["claim_name"]
        yield from _mounted(list(value.values()))
