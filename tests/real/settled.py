"""Waits until applied objects serve."""

from __future__ import annotations

from collections.abc import Sequence

from ops.cluster.api import KubeApi
from ops.cluster.object_states import ObjectState
from ops.cluster.rollout import Rollout, follow
from ops.terraform.manifests import Manifest
from tests.declaration.settings import SETTINGS


def rollout(api: KubeApi, objects: Sequence[Manifest]) -> Rollout:
    """Look at objects as a deploy of the tests' settings does."""
    return Rollout(api, objects, resource=SETTINGS.gpu.resource, tenants=SETTINGS.tenants)


def until_settled(api: KubeApi, objects: Sequence[Manifest]) -> tuple[ObjectState, ...]:
    """Return the states of objects once all serve."""
    outcome = follow((rollout(api, objects),), wait_s=30, say=print)
    assert [each for each in outcome.objects if not each.is_settled] == []
    return outcome.objects
