"""A claim, and the PersistentVolume behind it where the cluster does not make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.pod import nested
from llama_swap_config.cluster.labels import labels
from llama_swap_config.cluster.storage import (
    DeclaredStorage,
    NfsStorage,
    ProvisionedStorage,
    Storage,
)

_PV = tf.persistent_volume_v1
_PVC = tf.persistent_volume_claim_v1

_Volume = TypeVar("_Volume")


class BoundVolume(tf.Construct):
    """A claim and its volume.

    A declared volume is bound by name. Terraform does not wait for the binding.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        use: str,
        storage: Storage,
        size_gib: int,
        prevent_destroy: bool,
    ) -> None:
        """Declare the claim, and its volume unless the cluster makes it.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The claim's namespace.
            use: `MODELS` or `CUDA_CACHE`: the label, the default names, and the name of a pod's
                volume.
            storage: The storage behind the volume.
            size_gib: Capacity in GiB, which neither NFS nor a local directory enforces.
            prevent_destroy: Whether Terraform refuses to delete volume and claim.
        """
        super().__init__(scope, id)
        self._use = use
        self._claim_name = storage.claim_name(use)
        name, storage_class = None, storage.storage_class
        volumes = []
        if not isinstance(storage, ProvisionedStorage):
            name = storage.volume_name(use)
            # An empty one is only for a claim that exists: the cluster would set its default.
            storage_class = name if storage_class is None else storage_class
            volumes.append(self._volume(storage, name, storage_class, size_gib, prevent_destroy))
        self.claim = _PVC.PersistentVolumeClaimV1(
            self,
            "claim",
            metadata=_PVC.PersistentVolumeClaimV1Metadata(
                name=self._claim_name, namespace=namespace.name, labels=labels(use)
            ),
            spec=_PVC.PersistentVolumeClaimV1Spec(
                access_modes=[storage.access_mode],
                storage_class_name=storage_class,
                volume_name=name,
                resources=_PVC.PersistentVolumeClaimV1SpecResources(
                    requests={"storage": f"{size_gib}Gi"}
                ),
            ),
            wait_until_bound=False,
            lifecycle=tf.lifecycle(prevent_destroy=prevent_destroy),
            depends_on=[namespace.resource, *volumes],
        )

    def volume(self, struct: Callable[..., _Volume]) -> _Volume:
        """Declare a pod's volume of that claim, named after its use.

        Args:
            struct: The provider's class, which differs for each kind of pod.
        """
        claim = nested(struct, "persistent_volume_claim")
        return struct(name=self._use, persistent_volume_claim=claim(claim_name=self._claim_name))

    def _volume(
        self,
        storage: DeclaredStorage,
        name: str,
        storage_class: str,
        size_gib: int,
        prevent_destroy: bool,
    ) -> tf.persistent_volume_v1.PersistentVolumeV1:
        return _PV.PersistentVolumeV1(
            self,
            "volume",
            metadata=_PV.PersistentVolumeV1Metadata(name=name, labels=labels(self._use)),
            spec=[
                _PV.PersistentVolumeV1Spec(
                    capacity={"storage": f"{size_gib}Gi"},
                    access_modes=[storage.access_mode],
                    persistent_volume_reclaim_policy="Retain",
                    storage_class_name=storage_class,
                    volume_mode="Filesystem",
                    mount_options=(
                        list(storage.mount_options) if isinstance(storage, NfsStorage) else None
                    ),
                    node_affinity=_node_affinity(storage),
                    persistent_volume_source=_source(storage),
                )
            ],
            lifecycle=tf.lifecycle(prevent_destroy=prevent_destroy),
        )


def _source(
    storage: DeclaredStorage,
) -> tf.persistent_volume_v1.PersistentVolumeV1SpecPersistentVolumeSource:
    if isinstance(storage, NfsStorage):
        return _PV.PersistentVolumeV1SpecPersistentVolumeSource(
            nfs=_PV.PersistentVolumeV1SpecPersistentVolumeSourceNfs(
                server=storage.server, path=storage.path
            )
        )
    return _PV.PersistentVolumeV1SpecPersistentVolumeSource(
        local=_PV.PersistentVolumeV1SpecPersistentVolumeSourceLocal(path=storage.path)
    )


def _node_affinity(
    storage: DeclaredStorage,
) -> tf.persistent_volume_v1.PersistentVolumeV1SpecNodeAffinity | None:
    if isinstance(storage, NfsStorage):
        return None
    expression = _PV.PersistentVolumeV1SpecNodeAffinityRequiredNodeSelectorTermMatchExpressions(
        key="kubernetes.io/hostname", operator="In", values=[storage.node]
    )
    term = _PV.PersistentVolumeV1SpecNodeAffinityRequiredNodeSelectorTerm(
        match_expressions=[expression]
    )
    return _PV.PersistentVolumeV1SpecNodeAffinity(
        required=_PV.PersistentVolumeV1SpecNodeAffinityRequired(node_selector_term=[term])
    )
