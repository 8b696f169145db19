"""Apply objects to a cluster without Terraform."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from ops.cluster.api import DECODING, connect
from ops.errors import OpsError, reason_of

if TYPE_CHECKING:
    from ops.cluster.environment import KubeTarget
    from ops.terraform.manifests import Manifest


class Cluster:
    """A connection to one API server with lightkube's types.

    Each request holds DECODING until its answer is decoded, so threads wait for each other. Use
    `ops.cluster.api.KubeApi` for concurrent requests.
    """

    def __init__(self, target: KubeTarget) -> None:
        """Read the kubeconfig; connect with the first request.

        Raises:
            OpsError: when the kubeconfig cannot be used.
        """
        import httpx2
        import lightkube
        from lightkube.core.exceptions import ApiError

        self._refusals = (ApiError, httpx2.HTTPError)
        self._client = connect(
            target,
            lambda config: lightkube.Client(
                config=config,
                field_manager="llama-cpp-infra",
                timeout=httpx2.Timeout(10, connect=5),
                trust_env=False,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def apply(self, manifests: Iterable[Manifest]) -> None:
        """Apply objects server-side, in their order.

        Raises:
            OpsError: naming the object that the API server refuses and the reason.
        """
        from lightkube.codecs import from_dict

        for manifest in manifests:
            name = f"{manifest['kind']} {manifest['metadata']['name']}"
            try:
                with DECODING:
                    self._client.apply(from_dict(manifest), force=True)
            except self._refusals as error:
                raise OpsError(f"the API server refuses {name} ({reason_of(error)})") from error
