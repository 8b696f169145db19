"""A PersistentVolume and the claim that is bound to it by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.pod import nested
from llama_swap_config.cluster.labels import labels
from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage

_PV = tf.persistent_volume_v1
_PVC = tf.persistent_volume_claim_v1

_Volume = TypeVar("_Volume")


class BoundVolume(tf.Construct):
    """A volume and its claim.

    The claim is bound by name, with a storage class that has no provisioner: the cluster could
    replace an empty class by its default. Terraform does not wait for the binding.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        name: str,
        claim_name: str,
        storage: NfsStorage | LocalSsdStorage,
        size_gib: int,
        prevent_destroy: bool,
    ) -> None:
        """Declare volume and claim.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The claim's namespace.
            name: The volume's name, unique in the cluster, and its storage class.
            claim_name: The claim's name, and that of a pod's volume of it.
            storage: The storage behind the volume.
            size_gib: Capacity in GiB, which neither NFS nor a local directory enforces.
            prevent_destroy: Whether Terraform refuses to delete volume and claim.
        """
        super().__init__(scope, id)
        self._claim_name = claim_name
        # A local volume supports ReadWriteOnce only, which admits all pods of its node.
        access_modes = ["ReadWriteMany" if isinstance(storage, NfsStorage) else "ReadWriteOnce"]
        volume = _PV.PersistentVolumeV1(
            self,
            "volume",
            metadata=_PV.PersistentVolumeV1Metadata(name=name, labels=labels(claim_name)),
            spec=[
                _PV.PersistentVolumeV1Spec(
                    capacity={"storage": f"{size_gib}Gi"},
                    access_modes=access_modes,
                    persistent_volume_reclaim_policy="Retain",
                    storage_class_name=name,
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
        self.claim = _PVC.PersistentVolumeClaimV1(
            self,
            "claim",
            metadata=_PVC.PersistentVolumeClaimV1Metadata(
                name=claim_name, namespace=namespace.name, labels=labels(claim_name)
            ),
            spec=_PVC.PersistentVolumeClaimV1Spec(
                access_modes=access_modes,
                storage_class_name=name,
                volume_name=name,
                resources=_PVC.PersistentVolumeClaimV1SpecResources(
                    requests={"storage": f"{size_gib}Gi"}
                ),
            ),
            wait_until_bound=False,
            lifecycle=tf.lifecycle(prevent_destroy=prevent_destroy),
            depends_on=[namespace.resource, volume],
        )

    def volume(self, struct: Callable[..., _Volume]) -> _Volume:
        """Declare a pod's volume of that claim, which has the claim's name.

        Args:
            struct: The provider's class, which differs for each kind of pod.
        """
        claim = nested(struct, "persistent_volume_claim")
        return struct(
            name=self._claim_name, persistent_volume_claim=claim(claim_name=self._claim_name)
        )


def _source(
    storage: NfsStorage | LocalSsdStorage,
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
    storage: NfsStorage | LocalSsdStorage,
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
