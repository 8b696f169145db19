"""The volume of the models: a PersistentVolume that is kept, and the claim that is bound to it."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import labels
from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage

_PV = tf.persistent_volume_v1
_PVC = tf.persistent_volume_claim_v1


class ModelStore(tf.Construct):
    """One volume for all models, written by the download Job and read by the serving pod.

    The claim is bound by name, under a storage class that no provisioner has: an empty class could
    be filled in with the cluster's default. Terraform waits for neither.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        storage: NfsStorage | LocalSsdStorage,
        size_gib: int,
        prevent_destroy: bool,
        volume_name: str = "llama-cpp-models",
        claim_name: str = "models",
    ) -> None:
        """Declare volume and claim.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The claim's namespace.
            storage: Where the bytes are.
            size_gib: Capacity in GiB. NFS does not enforce it; the download program checks the
                free space itself.
            prevent_destroy: Whether Terraform refuses to delete volume and claim.
            volume_name: The PersistentVolume's name, unique in the cluster.
            claim_name: The claim's name.
        """
        super().__init__(scope, id)
        self.claim_name = claim_name
        # A local volume is on one node, and Kubernetes offers it ReadWriteOnce: to all its pods.
        access_modes = ["ReadWriteMany" if isinstance(storage, NfsStorage) else "ReadWriteOnce"]
        volume = _PV.PersistentVolumeV1(
            self,
            "volume",
            metadata=_PV.PersistentVolumeV1Metadata(name=volume_name, labels=labels("models")),
            spec=[
                _PV.PersistentVolumeV1Spec(
                    capacity={"storage": f"{size_gib}Gi"},
                    access_modes=access_modes,
                    persistent_volume_reclaim_policy="Retain",
                    storage_class_name=volume_name,
                    volume_mode="Filesystem",
                    mount_options=_mount_options(storage),
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
                name=claim_name, namespace=namespace.name, labels=labels("models")
            ),
            spec=_PVC.PersistentVolumeClaimV1Spec(
                access_modes=access_modes,
                storage_class_name=volume_name,
                volume_name=volume_name,
                resources=_PVC.PersistentVolumeClaimV1SpecResources(
                    requests={"storage": f"{size_gib}Gi"}
                ),
            ),
            wait_until_bound=False,
            # The API server resizes no claim of a volume that was made by hand, and a new claim
            # would leave the volume Released. The capacity is the volume's.
            lifecycle=tf.lifecycle(
                prevent_destroy=prevent_destroy,
                ignore_changes=("spec[0].resources[0].requests",),
            ),
            depends_on=[namespace.resource, volume],
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


def _mount_options(storage: NfsStorage | LocalSsdStorage) -> list[str] | None:
    return list(storage.mount_options) if isinstance(storage, NfsStorage) else None


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
