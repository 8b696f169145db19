"""The models' PersistentVolume and its claim."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.bound_volume import BoundVolume
from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.storage import MODELS, Storage


class ModelStore(BoundVolume):
    """One volume for all models, written by the download Job and read by the serving pod."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        storage: Storage,
        size_gib: int,
        prevent_destroy: bool,
    ) -> None:
        """Declare the claim, and its volume unless the cluster makes it.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The claim's namespace.
            storage: The storage behind the volume.
            size_gib: Capacity in GiB. The download program checks the free space.
            prevent_destroy: Whether Terraform refuses to delete volume and claim.
        """
        super().__init__(
            scope,
            id,
            namespace=namespace,
            use=MODELS,
            storage=storage,
            size_gib=size_gib,
            prevent_destroy=prevent_destroy,
        )
