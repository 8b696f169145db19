"""The hub: where it says that a file's bytes are, and what it is told."""

from __future__ import annotations

import http.client
import os
import threading
import urllib.parse
from collections.abc import Iterable
from typing import Self

from .answers import check_promise, check_status
from .connection import Address, Connection, Network, is_address
from .contract import NOT_AS_PLANNED
from .errors import DownloadError, RetryError
from .plan import File


class Hub:
    """Where files come from: a Hugging Face endpoint."""

    def __init__(self, endpoint: str, token: str | None, *, timeout_s: float = 30.0) -> None:
        """Talk to an endpoint, with a token where one is given.

        Raises:
            DownloadError: with NOT_AS_PLANNED when endpoint, token or proxy cannot be used.
        """
        self._endpoint = endpoint.rstrip("/")
        if not is_address(self._endpoint):
            raise DownloadError(NOT_AS_PLANNED, f"HF_ENDPOINT {endpoint!r} is no http(s) address")
        token = (token or "").strip()
        if not all(33 <= ord(character) < 127 for character in token):
            raise DownloadError(NOT_AS_PLANNED, "HF_TOKEN holds what no token holds; set it anew")
        self._token = token
        self._network = Network(timeout_s=timeout_s)

    @classmethod
    def of_environment(cls, *, timeout_s: float = 30.0) -> Self:
        """Talk to HF_ENDPOINT, or the public hub, with HF_TOKEN where it is set.

        Raises:
            DownloadError: as the constructor.
        """
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return cls(endpoint, os.environ.get("HF_TOKEN"), timeout_s=timeout_s)

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
        return Address(url=url, at_hub=self._is_own(url), hops=address.hops + 1)

    def _is_own(self, url: str) -> bool:
        """Whether an address is of the hub's own origin: only there does the token go."""
        return _origin(self._endpoint) == _origin(url)

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
