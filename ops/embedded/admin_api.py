"""The embedded cluster's API server, as its administrator."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from ops.errors import OpsError

FIELD_MANAGER = "embedded"
"""Who applies the objects of the embedded cluster, as each object's `managedFields` tell."""
Object = dict[str, Any]
"""A Kubernetes object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminApi:
    """A client of the API server with all rights."""

    server: str
    token: str
    certificate: str
    """In PEM."""

    @classmethod
    def of(cls, kubeconfig: Path) -> Self:
        """Read the embedded cluster's kubeconfig."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        return cls(
            server=cluster["server"],
            token=config["users"][0]["user"]["token"],
            certificate=base64.b64decode(cluster["certificate-authority-data"]).decode(),
        )

    def is_ready(self) -> bool:
        """Whether the API server is ready.

        Raises:
            OSError: when it does not answer, or is not ready.
        """
        return self._ask("GET", "/readyz") == b"ok"

    def get(self, path: str) -> Object | None:
        """Return one object, or None if it does not exist.

        Raises:
            OSError: when the API server does not answer, or refuses the request.
        """
        try:
            document: Object = json.loads(self._ask("GET", path))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None
        return document

    def items(self, path: str) -> list[Object]:
        """Return the objects of a collection.

        Raises:
            OSError: when the API server does not answer, or refuses the request.
        """
        items: list[Object] = (self.get(path) or {}).get("items") or []
        return items

    def apply(self, path: str, definition: Object) -> None:
        """Apply one object server-side.

        Raises:
            OpsError: when the API server refuses the object.
            OSError: when it does not answer.
        """
        try:
            self._ask("PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", definition)
        except urllib.error.HTTPError as error:
            status = json.loads(error.read() or b"{}")
            raise OpsError(
                f"the embedded cluster refuses {path} ({status.get('message', error)}). Correct "
                "stacks/production.py"
            ) from error

    def delete(self, path: str, *, grace_s: int | None = None) -> None:
        """Delete one object, unless it does not exist.

        Args:
            path: Its path.
            grace_s: Seconds for a pod's end (default: the pod's own).

        Raises:
            OSError: when the API server does not answer, or refuses the request.
        """
        options: Object = {"propagationPolicy": "Background"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            self._ask("DELETE", path, options)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def _ask(self, method: str, path: str, body: Object | None = None) -> bytes:
        context = ssl.create_default_context(cadata=self.certificate)
        kind = "apply-patch+yaml" if method == "PATCH" else "json"
        request = urllib.request.Request(  # noqa: S310 - always this machine's API server.
            f"{self.server}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": f"application/{kind}",
            },
            method=method,
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=10) as response:
            answer: bytes = response.read()
            return answer
