"""Which objects a plan has to replace with a volume or a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ops.terraform.changes import ResourceChange

_VOLUMES = ("PersistentVolume", "PersistentVolumeClaim")


def volume_users(changes: Sequence[ResourceChange]) -> tuple[str, ...]:
    """Return the addresses of the objects to replace with a replaced volume or claim.

    Kubernetes deletes a volume after its claim, and a claim after every pod that mounts it, even a
    completed one. Terraform would change those pods afterwards, and wait for the claim for ever.
    A volume whose claim is gone is bound by no other claim.
    """
    if not any(change.kind in _VOLUMES and change.action == "replace" for change in changes):
        return ()
    return tuple(
        change.address
        for change in changes
        if change.action in ("no-op", "update")
        and (change.kind in _VOLUMES or _mounts_a_claim(change.before))
    )


def _mounts_a_claim(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_mounts_a_claim, value))
    if not isinstance(value, dict):
        return False
    return bool(value.get("persistent_volume_claim")) or _mounts_a_claim(list(value.values()))
