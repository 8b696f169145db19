"""The fields by which somebody stops an object that is otherwise as declared."""

from __future__ import annotations

from typing import Any

from ops.cluster.object_states import start_again
from ops.commands.drift.declared import DEPLOY
from ops.terraform.manifests import Manifest

STOPS = {"Deployment": "paused", "CronJob": "suspend", "Job": "suspend"}
"""Kind -> the field of its spec; the declared value is false, also where nothing declares it."""


def with_stop(manifest: Manifest) -> dict[str, Any]:
    """Return the declared object, with the field that would stop it."""
    stop = STOPS.get(manifest["kind"])
    if stop is None:
        return manifest
    return manifest | {"spec": {stop: False} | manifest["spec"]}


def remedy(manifest: Manifest, path: tuple[str, ...]) -> str | None:
    """Say how to start an object again; None: the field does not stop it."""
    kind = manifest["kind"]
    if path != ("spec", STOPS.get(kind)):
        return None
    start = start_again(manifest)
    if kind == "Deployment":
        # The provider does not read the field, so a plan alone does not find it.
        return (
            f"it is paused, so its pod does not change: {start}; {DEPLOY} resumes it only with "
            "another change"
        )
    if kind == "CronJob":
        return f"it is suspended and starts no Job: {start}, or {DEPLOY}, which resumes it"
    # The provider does not know this field of a Job.
    return f"it is suspended and runs no pod: {start}"
