"""The Kubernetes API as paths and JSON, for requests that lightkube's typed client lacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ops.cluster.paths import collection_path
from ops.errors import OpsError, reason_of

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig

    from ops.cluster.environment import KubeTarget

Document = dict[str, Any]


class UnreachableError(OpsError):
    """The API server does not answer."""


class ForbiddenError(OpsError):
    """The account may not do what was asked."""


class CredentialsError(ConnectionError):
    """The kubeconfig's credentials cannot be had: no token file, or its plugin fails."""


_Client = TypeVar("_Client")
_TIMEOUT_S = 10
DECODING = threading.Lock()
"""The lock for every decode by lightkube: of a kubeconfig, an object, or a list.

During the first decode of a type, msgspec (0.22) stores a half-built description of it; a second
thread that decodes the type reads null pointers in it and ends the process with SIGSEGV."""


def connect(target: KubeTarget, client: Callable[[SingleConfig], _Client]) -> _Client:
    """Create a lightkube client from a kubeconfig.

    Raises:
        OpsError: when the kubeconfig cannot be used.
    """
    from lightkube import KubeConfig
    from lightkube.core.exceptions import ConfigError

    try:
        with DECODING:
            config = KubeConfig.from_file(str(target.config_path)).get(target.context)
        if config is None:
            raise ConfigError("the kubeconfig has no such context")
        return client(config)
    except (ConfigError, OSError, ValueError) as error:
        raise OpsError(
            f"KUBE_CTX {target.context!r} of {target.config_path} cannot be used "
            f"({reason_of(error)})"
        ) from error


class KubeApi:
    """A connection to one API server; it never retries, which is left to the caller."""

    def __init__(self, target: KubeTarget) -> None:
        """Read the kubeconfig; connect with the first request.

        Raises:
            OpsError: when the kubeconfig cannot be used.
        """
        import httpx2
        from lightkube.config.client_adapter import Client, ConnectionParams
        from lightkube.core.exceptions import ConfigError

        timeout = httpx2.Timeout(_TIMEOUT_S, connect=5)
        parameters = ConnectionParams(timeout=timeout, trust_env=False)
        self._client = connect(target, lambda config: Client(config, parameters))
        self._target = target
        self._error = httpx2.HTTPError
        self._of_credentials = (ConfigError, OSError, ValueError, LookupError)
        self._ahead_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def check_reachable(self) -> str:
        """Check that the API server answers a request that every account may make.

        Returns:
            Its version, such as `v1.36.3`; empty if the account may not read even that.

        Raises:
            OpsError: when it does not answer, or refuses the kubeconfig's credentials.
        """
        server = f"the API server of KUBE_CTX {self._target.context!r}"
        try:
            status, document = self.request("GET", "/version")
            reason = f"{status}: {_reason(document)}"
        except CredentialsError as error:
            raise OpsError(
                f"the credentials of KUBE_CTX {self._target.context!r} cannot be had ({error}); "
                f"correct its user in {self._target.config_path}"
            ) from error
        except ConnectionError as error:
            status, document, reason = 0, {}, str(error)
        if status == 401:
            raise OpsError(
                f"{server} refuses the credentials ({reason}); renew those of its user in "
                f"{self._target.config_path}"
            )
        if status != 403 and "gitVersion" not in document:
            raise OpsError(
                f"{server} does not answer ({reason}); check that it runs and that the kubeconfig "
                "is current"
            )
        return str(document.get("gitVersion", ""))

    def request(
        self, method: str, path: str, body: Document | None = None
    ) -> tuple[int, Document]:
        """Send one request.

        Args:
            method: GET, POST, PUT, PATCH (a JSON merge patch) or DELETE.
            path: The path from the root, with its query: `/api/v1/namespaces/default`.
            body: The object or the patch (default: none).

        Returns:
            The status and the object; from status 400 the object is a Status, whose `message`
            names the reason.

        Raises:
            ConnectionError: when no answer arrives; CredentialsError when nothing could be asked.
        """
        kind = "merge-patch+json" if method == "PATCH" else "json"
        try:
            answer = self._client.request(
                method, path, json=body, headers={"Content-Type": f"application/{kind}"}
            )
        except self._error as error:
            raise ConnectionError(reason_of(error)) from error
        except self._of_credentials as error:
            raise CredentialsError(reason_of(error)) from error
        if "date" in answer.headers:
            server = parsedate_to_datetime(answer.headers["date"]).timestamp()
            self._ahead_s = server - time.time()
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            document = {"message": " ".join(answer.text.split())[:300]}
        return answer.status_code, document

    def now(self) -> float:
        """Return the API server's time by its latest answer, in seconds since 1970.

        This machine's clock may be wrong, and programs that share a Lease need the same clock.
        """
        return time.time() + self._ahead_s

    def get(self, path: str) -> Document | None:
        """Return one object or list, or None if it does not exist.

        Raises:
            OpsError: when the API server refuses the request or does not answer.
        """
        return self._answer("GET", path)

    def review(self, api_version: str, kind: str, spec: Document) -> Document | None:
        """Return the status of a review, an object that the API server answers and does not store.

        Args:
            api_version: The review's, such as `authorization.k8s.io/v1`.
            kind: The review's, such as `SelfSubjectAccessReview`.
            spec: What is asked.

        Returns:
            The status, or None if this API server has no such review.

        Raises:
            OpsError: when the API server refuses the request or does not answer.
        """
        review = {"apiVersion": api_version, "kind": kind, "metadata": {}, "spec": spec}
        answer = self._answer("POST", collection_path(review), review)
        return None if answer is None else answer["status"]

    def _answer(self, method: str, path: str, body: Document | None = None) -> Document | None:
        """Return what the API server answers, or None for 404."""
        try:
            status, document = self.request(method, path, body)
        except ConnectionError as error:
            raise UnreachableError(f"the API server does not answer ({error})") from error
        if status == 404:
            return None
        if status == 429 or status >= 500:
            raise UnreachableError(
                f"the API server does not answer ({status}: {_reason(document)})"
            )
        if status >= 400:
            kind = ForbiddenError if status == 403 else OpsError
            raise kind(f"the API server refuses {method} {path} ({status}: {_reason(document)})")
        return document

    def text(self, path: str, *, timeout_s: float = _TIMEOUT_S) -> str:
        """Return a text, such as the log of a pod.

        Args:
            path: As for `request`.
            timeout_s: How long the answer may take: a log comes from the pod's node, which may be
                off.

        Raises:
            OpsError: when the API server refuses the request or does not answer.
        """
        try:
            answer = self._client.request("GET", path, timeout=timeout_s)
        except (self._error, *self._of_credentials) as error:
            raise UnreachableError(
                f"the API server does not answer ({reason_of(error)})"
            ) from error
        if answer.status_code >= 400:
            reason = " ".join(answer.text.split())[:300]
            raise OpsError(f"the API server refuses GET {path} ({answer.status_code}: {reason})")
        return str(answer.text)


def _reason(document: Document) -> str:
    return " ".join(str(document.get("message", "")).split())[:300]
