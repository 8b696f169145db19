"""Secrets that this repository's commands make; Terraform would keep their values in its state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from llama_swap_config.cluster.labels import APP
from ops.cluster.api import Document, KubeApi
from ops.cluster.paths import collection_path, object_path
from ops.errors import OpsError, one_line

MANAGER = "llama-cpp-infra"
"""Who manages them, by their label, and to the API server."""
_PART_OF, _MANAGED_BY = "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"
_TRIES = 10


class UnsettledError(OpsError):
    """The API server did not say whether it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """Where a Secret is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Name it in a message."""
        return f"Secret {self.namespace}/{self.name}"

    @property
    def manifest(self) -> Document:
        """The Secret as a command makes it, without data."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {_PART_OF: APP, _MANAGED_BY: MANAGER},
            },
            "type": "Opaque",
        }

    def read(self, api: KubeApi) -> Document | None:
        """Return the Secret, or None if there is none.

        Raises:
            OpsError: when the API server refuses or does not answer.
        """
        return api.get(object_path(self.manifest))

    def change(
        self, api: KubeApi, edit: Callable[[Document], Document], *, dry_run: bool = False
    ) -> None:
        """Change the Secret, or make it; a change by somebody else in between is never undone.

        Args:
            api: The cluster.
            edit: Makes the Secret from the present one, or from one without data. Runs again
                after a change by somebody else.
            dry_run: Whether to try everything and write nothing.

        Raises:
            UnsettledError: when the answer to the write is missing.
            OpsError: when somebody else manages it, the API server refuses or does not answer,
                and what `edit` raises.
        """
        query = f"fieldManager={MANAGER}{'&dryRun=All' if dry_run else ''}"
        for attempt in range(_TRIES):
            before = self.read(api)
            self.check_ours(before)
            # A PUT with the resourceVersion that was read fails after somebody else's.
            method, path = "PUT", object_path(self.manifest)
            if before is None:
                method, path = "POST", collection_path(self.manifest)
            try:
                status, answer = api.request(
                    method, f"{path}?{query}", edit(before or self.manifest)
                )
            except ConnectionError as error:
                raise UnsettledError(
                    f"whether {self} was changed is not known: the API server did not answer "
                    f"({error}). Look at it before you try again"
                ) from error
            if status < 400:
                return
            if status != 409:
                reason = one_line(str(answer.get("message", "")))
                raise OpsError(f"the API server refuses to write {self} ({status}: {reason})")
            time.sleep(0.05 * attempt)
        raise OpsError(f"{self} changed {_TRIES} times while it was written. Try again")

    def check_ours(self, secret: Document | None) -> None:
        """Require that no one else manages the Secret.

        Raises:
            OpsError: naming who manages it.
        """
        if secret is None:
            return
        metadata = secret["metadata"]
        managed_by = (metadata.get("labels") or {}).get(_MANAGED_BY)
        owners = [f"{it['kind']} {it['name']}" for it in metadata.get("ownerReferences") or ()]
        if managed_by != MANAGER or owners:
            owner = one_line(owners[0] if owners else managed_by or "nobody that it names")
            raise OpsError(
                f"{self} is managed by {owner}; expected the label {_MANAGED_BY}={MANAGER}, "
                "which this command gives its own. Delete it there, or name another Secret"
            )
