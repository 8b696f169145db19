"""The hub: what it is told, where it says that a file's bytes are, and what its answers mean."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import os
import threading
import time
import urllib.parse
from collections.abc import Iterable

from .connection import Address, Connection, Network, is_address
from .contract import NO_ACCESS, NOT_AS_PLANNED
from .errors import DownloadError, RetryError
from .plan import SHA256, File


class Hub:
    """Where files come from: a Hugging Face endpoint."""

    def __init__(self, *, timeout_s: float = 30.0) -> None:
        """Talk to HF_ENDPOINT, or the public hub, with HF_TOKEN where it is set.

        Raises:
            DownloadError: with NOT_AS_PLANNED when endpoint, token or proxy cannot be used.
        """
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        self._endpoint = endpoint.rstrip("/")
        if not is_address(self._endpoint):
            raise DownloadError(NOT_AS_PLANNED, f"HF_ENDPOINT {endpoint!r} is no http(s) address")
        token = os.environ.get("HF_TOKEN", "").strip()
        if not all(33 <= ord(character) < 127 for character in token):
            raise DownloadError(NOT_AS_PLANNED, "HF_TOKEN holds what no token holds; set it anew")
        self._token = token
        self._network = Network(timeout_s=timeout_s)

    def resolve(self, file: File) -> Address:
        """Ask the hub where a file's bytes are; one request, whatever the file's length.

        Raises:
            DownloadError: when the hub refuses, or has other bytes than planned.
            RetryError: when another attempt may succeed.
        """
        path = "/".join(
            (file.repository, "resolve", urllib.parse.quote(file.revision, safe=""), file.name)
        )
        url = f"{self._endpoint}/{path}"
        for _ in range(5):
            connection = self.open(Address(url=url, at_hub=True))
            try:
                response = connection.get(0, 0)
                headers = response.headers
                check_promise(file, headers)
                if response.status not in (301, 302, 303, 307, 308):
                    check_status(file, response, at_hub=True)
                    return Address(url=url, at_hub=True)
                address = self.redirected(file, Address(url=url, at_hub=True), response)
            finally:
                connection.close()
            if not address.at_hub:
                return address
            url = address.url
        raise _in_a_circle(file)

    def redirected(
        self, file: File, address: Address, response: http.client.HTTPResponse
    ) -> Address:
        """Follow a redirect.

        Raises:
            DownloadError: when there were too many of them.
            RetryError: when it leads to no address.
        """
        if address.hops == 5:
            raise _in_a_circle(file)
        try:
            url = urllib.parse.urljoin(address.url, response.headers["Location"] or "")
        except ValueError as error:
            raise RetryError("a redirect to no address") from error
        if not is_address(url):
            raise RetryError("a redirect to no address")
        # Only to the hub's own origin does the token go.
        at_hub = _origin(self._endpoint) == _origin(url)
        return Address(url=url, at_hub=at_hub, hops=address.hops + 1)

    def open(self, address: Address) -> Connection:
        """Prepare a connection to an address; the token leaves for the hub alone."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "llama-cpp-infra/download"}
        if self._token and address.at_hub:
            headers["Authorization"] = f"Bearer {self._token}"
        return Connection(address, self._network, headers)


class Addresses:
    """Where each file's bytes are at present; the hub is asked once for all connections."""

    def __init__(self, hub: Hub, files: Iterable[File]) -> None:
        """Ask nothing yet."""
        self._hub = hub
        self._known: dict[File, Address] = {}
        self._resolving = {file: threading.Lock() for file in files}

    def of(self, file: File) -> Address:
        """Find a file's address, or ask the hub for it.

        Raises:
            DownloadError, RetryError: as `Hub.resolve`.
        """
        with self._resolving[file]:
            address = self._known.get(file)
            if address is None:
                address = self._known[file] = self._hub.resolve(file)
            return address

    def note(self, file: File, address: Address) -> None:
        """Keep what a redirect said."""
        self._known[file] = address

    def forget(self, file: File) -> None:
        """Ask the hub again, before the next segment."""
        self._known.pop(file, None)


def _in_a_circle(file: File) -> DownloadError:
    return DownloadError(NOT_AS_PLANNED, f"{file.name}: the hub redirects in a circle")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def check_status(file: File, response: http.client.HTTPResponse, *, at_hub: bool) -> None:
    """Say what a status means; the address is not said, because it may be a signed one.

    Raises:
        DownloadError: when no other attempt can help.
        RetryError: when one can.
    """
    status = response.status
    if status in (200, 206):
        return
    where = f"{file.repository} {file.name}: HTTP {status}"
    if status == 407:
        raise DownloadError(NO_ACCESS, f"{where}: the proxy wants a login; set HTTPS_PROXY")
    if status == 416:
        raise DownloadError(
            NOT_AS_PLANNED, f"{where}: the file is shorter than planned; lock it anew"
        )
    if at_hub and status in (401, 403):
        raise DownloadError(
            NO_ACCESS,
            f"{where}: no access, or no such repository; set HF_TOKEN to one that has it",
        )
    if at_hub and 400 <= status < 500 and status not in (408, 409, 425, 429):
        raise DownloadError(
            NOT_AS_PLANNED, f"{where}: not there at revision {file.revision}; lock it anew"
        )
    raise RetryError(f"HTTP {status}", _retry_after_s(response))


def check_promise(file: File, headers: http.client.HTTPMessage) -> None:
    """Compare what the hub says of a file with the plan, before gigabytes say it."""
    promised = headers.get("X-Linked-Etag", "").strip('W/"')
    if SHA256.fullmatch(promised) and promised != file.sha256:
        raise DownloadError(
            NOT_AS_PLANNED,
            f"{file.repository} {file.name}: at revision {file.revision} the hub has sha256 "
            f"{promised}, not {file.sha256}; lock it anew",
        )
    size = headers.get("X-Linked-Size", "")
    if size.isdigit() and int(size) != file.size_bytes:
        raise DownloadError(
            NOT_AS_PLANNED,
            f"{file.repository} {file.name}: the hub has {size} bytes, not {file.size_bytes}; "
            "lock it anew",
        )


def _retry_after_s(response: http.client.HTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0
