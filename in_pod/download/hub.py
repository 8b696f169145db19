"""The hub: requests, the addresses of files, and the meaning of its answers."""

from __future__ import annotations

import http.client
import os
import threading
import urllib.parse
from collections.abc import Iterable

from .connection import Address, Connection, Network, is_address
from .contract import NO_ACCESS, NOT_AS_PLANNED
from .errors import DownloadError, RetryError
from .headers import pause_s, whole_number
from .plan import SHA256, File
from .proxies import DEFAULT_PORTS, is_loopback


class Hub:
    """A Hugging Face endpoint."""

    def __init__(self, *, timeout_s: float = 30.0) -> None:
        """Use HF_ENDPOINT (default: the public hub) and HF_TOKEN.

        Raises:
            DownloadError: with NOT_AS_PLANNED when endpoint, token or proxy cannot be used.
        """
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        self._endpoint = endpoint.rstrip("/")
        if not is_address(self._endpoint):
            shown = "invalid" if "@" in endpoint else repr(endpoint)  # It may have a login.
            raise DownloadError(
                NOT_AS_PLANNED, f"HF_ENDPOINT is {shown}; expected an http(s) address"
            )
        parts = urllib.parse.urlsplit(self._endpoint)
        if "@" in parts.netloc:
            raise DownloadError(
                NOT_AS_PLANNED, "HF_ENDPOINT has a login; expected none. Use HF_TOKEN."
            )
        token = os.environ.get("HF_TOKEN", "").strip()
        if not all(33 <= ord(character) < 127 for character in token):
            raise DownloadError(NOT_AS_PLANNED, "HF_TOKEN has invalid characters. Set it again.")
        if token and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise DownloadError(
                NOT_AS_PLANNED,
                f"HF_TOKEN would be readable on the way to {self._endpoint}; expected an https:// "
                "HF_ENDPOINT, or no HF_TOKEN",
            )
        self._token = token
        self._network = Network(timeout_s=timeout_s)

    def resolve(self, file: File) -> Address:
        """Request the address of a file's bytes from the hub.

        Raises:
            DownloadError: when the hub refuses, or its file differs from the plan.
            RetryError: when a retry may succeed.
        """
        revision, name = urllib.parse.quote(file.revision, safe=""), urllib.parse.quote(file.name)
        path = f"{file.repository}/resolve/{revision}/{name}"
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
        raise _redirect_loop(file)

    def redirected(
        self, file: File, address: Address, response: http.client.HTTPResponse
    ) -> Address:
        """Follow a redirect.

        Raises:
            DownloadError: when there were too many redirects.
            RetryError: when its location is invalid.
        """
        if address.hops == 5:
            raise _redirect_loop(file)
        try:
            url = urllib.parse.urljoin(address.url, response.headers["Location"] or "")
        except ValueError as error:
            raise RetryError("a redirect to an invalid address") from error
        if not is_address(url):
            raise RetryError("a redirect to an invalid address")
        # The token is sent only to the hub's own origin.
        at_hub = _origin(self._endpoint) == _origin(url)
        return Address(url=url, at_hub=at_hub, hops=address.hops + 1)

    def open(self, address: Address) -> Connection:
        """Prepare a connection to an address; only the hub gets the token."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "llama-cpp-infra/download"}
        if self._token and address.at_hub:
            headers["Authorization"] = f"Bearer {self._token}"
        return Connection(address, self._network, headers)


class Addresses:
    """The present address of each file, requested once for all connections."""

    def __init__(self, hub: Hub, files: Iterable[File]) -> None:
        """Request nothing yet."""
        self._hub = hub
        self._known: dict[File, Address] = {}
        self._resolving = {file: threading.Lock() for file in files}

    def of(self, file: File) -> Address:
        """Return a file's address, from the hub if it is unknown.

        Raises:
            DownloadError, RetryError: as `Hub.resolve`.
        """
        with self._resolving[file]:
            address = self._known.get(file)
            if address is None:
                address = self._known[file] = self._hub.resolve(file)
            return address

    def note(self, file: File, address: Address) -> None:
        """Store the address from a redirect."""
        self._known[file] = address

    def forget(self, file: File) -> None:
        """Request the address again for the next segment."""
        self._known.pop(file, None)


def _redirect_loop(file: File) -> DownloadError:
    return DownloadError(NOT_AS_PLANNED, f"{file.name}: the hub redirects in a loop")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


def check_status(file: File, response: http.client.HTTPResponse, *, at_hub: bool) -> None:
    """Check the status of a response. Errors do not contain the address, which may be signed.

    Raises:
        DownloadError: when a retry cannot help.
        RetryError: when a retry can help.
    """
    status = response.status
    if status in (200, 206):
        return
    where = f"{file.repository} {file.name}: HTTP {status}"
    if status == 407:
        raise DownloadError(
            NO_ACCESS, f"{where}: the proxy requires a login. Set it in the proxy's variable."
        )
    if status == 416:
        raise DownloadError(
            NOT_AS_PLANNED, f"{where}: the file is shorter than planned. Lock it again."
        )
    if at_hub and status in (401, 403):
        raise DownloadError(
            NO_ACCESS,
            f"{where}: no access, or no such repository. Set HF_TOKEN to a token with access.",
        )
    if at_hub and 400 <= status < 500 and status not in (408, 409, 425, 429):
        raise DownloadError(
            NOT_AS_PLANNED, f"{where}: not found at revision {file.revision}. Lock it again."
        )
    raise RetryError(f"HTTP {status}", pause_s(response.headers, status))


def check_promise(file: File, headers: http.client.HTTPMessage) -> None:
    """Compare the hub's description of a file with the plan before downloading gigabytes."""
    promised = headers.get("X-Linked-Etag", "").strip('W/"')
    if SHA256.fullmatch(promised) and promised != file.sha256:
        raise DownloadError(
            NOT_AS_PLANNED,
            f"{file.repository} {file.name}: at revision {file.revision} the hub has sha256 "
            f"{promised} instead of {file.sha256}. Lock it again.",
        )
    size = whole_number(headers.get("X-Linked-Size", ""))
    if size not in (None, file.size_bytes):
        raise DownloadError(
            NOT_AS_PLANNED,
            f"{file.repository} {file.name}: the hub has {size} bytes instead of "
            f"{file.size_bytes}. Lock it again.",
        )
