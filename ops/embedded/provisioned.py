"""Stand-ins for a StorageClass of the settings and for what its provisioner makes."""

from __future__ import annotations

from collections.abc import Iterator

from llama_swap_config.cluster.storage import ProvisionedStorage
from ops.embedded.admin_api import Object
from stacks.pools import settings_of_pools
from stacks.settings import Settings

_DEFAULT = "default"
"""The name of the class where the settings name none."""
_VOLUME = "provisioned-models"
"""The first pool's; a further pool's ends with its name."""


def provisioned(settings: Settings) -> Iterator[Object]:
    """Make the StorageClass of each pool, and one volume, to which the claim of its models binds.

    Args:
        settings: The cluster's settings.
    """
    first, *further = settings_of_pools(settings)
    yield from _provisioned(first, _VOLUME)
    for pool in further:
        yield from _provisioned(pool, f"{_VOLUME}-{pool.pool}")


def _provisioned(settings: Settings, volume_name: str) -> tuple[Object, ...]:
    storage = settings.storage
    if not isinstance(storage, ProvisionedStorage):
        return ()
    name = storage.storage_class or _DEFAULT
    is_default = "true" if storage.storage_class is None else "false"
    storage_class: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": is_default},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }
    volume: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name},
        "spec": {
            "capacity": {"storage": f"{settings.storage_size_gib}Gi"},
            "accessModes": [storage.access_mode],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": name,
            "hostPath": {"path": "/stand-in"},
        },
    }
    return storage_class, volume
