"""The stack's objects are divided among its pools, and none is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ops.cluster.pool_objects import objects_of_pools
from ops.terraform.manifests import manifests
from tests.declaration.pools import HOUSED, POOLED, POOLS, T4
from tests.declaration.settings import EXISTING_GATEWAY, WITH_KEY

NAMESPACES = [pool.settings.namespace for pool in POOLS]


def test_each_object_is_of_one_pool(synth: Callable[..., dict[str, Any]]) -> None:
    objects = manifests(
        synth(
            HOUSED,
            pool=T4,
            pools=POOLED.pools,
            gpu=POOLED.gpu,
            gateway=EXISTING_GATEWAY,
            **WITH_KEY,
        )
    )
    first, *further = objects_of_pools(objects, NAMESPACES)
    assert sum(map(len, (first, *further))) == len(objects)
    for namespace, of_pool in zip(NAMESPACES[1:], further, strict=True):
        outside = {
            (each["kind"], each["metadata"]["name"])
            for each in of_pool
            if each["metadata"].get("namespace") != namespace
        }
        assert outside == {("Namespace", namespace), ("PersistentVolume", f"{namespace}-models")}
    of_others = {each["metadata"].get("namespace") for each in first}
    assert of_others == {None, "llama-cpp", "immich", "litellm"}


def test_one_pool_has_everything(production: dict[str, Any]) -> None:
    objects = manifests(production)
    assert objects_of_pools(objects, ["llama-cpp"]) == (objects,)
