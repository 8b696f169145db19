"""The API server as seen from a pod."""

from __future__ import annotations

import os
import ssl
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Self

from .api import Document
from .asking import ask, direct_opener

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account's token and the cluster's authority."""


@dataclass(slots=True, kw_only=True)
class InClusterApi:
    """The API server as seen from a pod, with the pod's service account."""

    service_account_dir: Path
    url: str
    _ahead_s: float = field(default=0.0, init=False)
    _opener: urllib.request.OpenerDirector = field(init=False)

    @classmethod
    def of_pod(cls, service_account_dir: Path) -> Self:
        """Connect with the environment that every pod has.

        Args:
            service_account_dir: Directory with `token` and `ca.crt`.

        Raises:
            KeyError: when a variable is missing: this is not a pod.
            OSError: when the directory has no valid authority.
        """
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        return cls(service_account_dir=service_account_dir, url=f"https://{host}:{port}")

    def __post_init__(self) -> None:
        context = ssl.create_default_context(cafile=str(self.service_account_dir / "ca.crt"))
        # Python 3.13 refuses a CA without a key identifier, and some clusters have such CAs.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._opener = direct_opener(context)

    def request(
        self, method: str, path: str, body: Document | None = None
    ) -> tuple[int, Document]:
        """Send a request, PATCH as a JSON merge patch; ConnectionError if no answer comes."""
        kind = "merge-patch+json" if method == "PATCH" else "json"
        # The kubelet renews the token meanwhile.
        token = (self.service_account_dir / "token").read_text(encoding="ascii").strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"application/{kind}"}
        status, answer, fields = ask(self._opener, method, self.url + path, headers, body)
        if fields is not None:
            with suppress(ValueError, TypeError, LookupError, OverflowError):
                date = parsedate_to_datetime(fields["date"])
                self._ahead_s = date.timestamp() - time.time()
        return status, answer if isinstance(answer, dict) else {}

    def now(self) -> float:
        """Return the API server's time in seconds since 1970."""
        return time.time() + self._ahead_s
