"""The PersistentVolume of CUDA's compiled kernels, and its claim."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.bound_volume import BoundVolume
from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.storage import CUDA_CACHE, LocalSsdStorage


class CudaCache(BoundVolume):
    """A directory of the GPU node that keeps compiled kernels when the serving pod ends.

    The driver finds a kernel by its code and its own version, so one directory serves several
    images and drivers. Nothing is lost with it but time, so Terraform may delete it.
    """

    path = "/cuda-cache"
    """Where the serving pod mounts it."""
    max_size_bytes = 4 << 30
    """The most that the driver accepts; it drops the oldest kernels."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        storage: LocalSsdStorage,
    ) -> None:
        """Declare volume and claim.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The claim's namespace.
            storage: The directory, on the node that serves.
        """
        super().__init__(
            scope,
            id,
            namespace=namespace,
            use=CUDA_CACHE,
            storage=storage,
            size_gib=5,
            prevent_destroy=False,
        )
