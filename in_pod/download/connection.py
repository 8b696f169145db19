"""HTTP connections to the hub and to signed addresses, through a proxy if one is set."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import urllib.parse
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from .contract import NO_ACCESS, NOT_AS_PLANNED
from .errors import DownloadError, RetryError
from .proxies import DEFAULT_PORTS, Proxy, proxy_of
from .tls import client_context

_SET_CA = ". If a private CA or a proxy signed it, set SSL_CERT_FILE to the file of that CA."
_CHECK_TIME = ". Check this machine's clock."
_CERTIFICATE_REMEDIES = {
    **dict.fromkeys((18, 19, 20, 21), _SET_CA),
    **dict.fromkeys((9, 10), _CHECK_TIME),
}
"""OpenSSL's X509_V_ERR number -> what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Address of a file's bytes: on the hub, or signed on another host."""

    url: str
    at_hub: bool
    hops: int = 0
    """Redirects by other hosts before this address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A connection to a host that is not open yet, and what its requests need."""

    connection: http.client.HTTPConnection
    through: Proxy | None
    before_path: str = ""
    """Prefix of a request's path: a proxy wants the whole address."""
    headers: dict[str, str] = field(default_factory=dict)
    """For the proxy."""


class Network:
    """Connects to hosts directly or through the environment's proxy."""

    def __init__(self, *, timeout_s: float) -> None:
        """Read nothing yet: a complete volume needs no connection."""
        self._timeout_s = timeout_s

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        try:
            return client_context()
        except ValueError as error:
            raise DownloadError(NOT_AS_PLANNED, str(error)) from error

    def way_to(self, url: urllib.parse.SplitResult) -> Way:
        """Prepare a connection, through the environment's proxy if there is one.

        Raises:
            DownloadError: with NOT_AS_PLANNED when a variable of the environment is invalid.
        """
        proxy, host = proxy_of(url), url.hostname or ""
        # Without a port, http.client takes one out of an IPv6 address.
        port = url.port or DEFAULT_PORTS[url.scheme]
        target = (proxy.host, proxy.port) if proxy else (host, port)
        if url.scheme == "http":
            plain = http.client.HTTPConnection(*target, timeout=self._timeout_s)
            if proxy is None:
                return Way(connection=plain, through=None)
            return Way(
                connection=plain,
                through=proxy,
                before_path=f"http://{url.netloc}",
                headers=proxy.headers,
            )
        secure = http.client.HTTPSConnection(*target, timeout=self._timeout_s, context=self._tls)
        if proxy:
            secure.set_tunnel(host, port, proxy.headers)
        return Way(connection=secure, through=proxy)


class Response(http.client.HTTPResponse):
    """A response that returns available bytes instead of waiting until a buffer is full.

    Otherwise a connection that trickles looks healthy.
    """

    def read_some(self, buffer: memoryview) -> int:
        """Read the available bytes, waiting only for the first one; return 0 at the end."""
        if self.fp is None:
            return 0
        if self.length is None:
            return self.readinto(buffer)
        count: int = self.fp.readinto1(buffer[: self.length])
        self.length -= count
        if count == 0 or self.length == 0:
            self.close()
        return count


class Connection:
    """A connection to an address, used for one segment after the other."""

    def __init__(self, address: Address, network: Network, headers: dict[str, str]) -> None:
        """Prepare the connection, which opens with the first request."""
        self.address = address
        self._url = urllib.parse.urlsplit(address.url)
        self._way = network.way_to(self._url)
        self._connection = self._way.connection
        self._connection.response_class = Response
        self._headers = headers | self._way.headers
        self._response: Response | None = None

    def get(self, first: int, last: int) -> Response:
        """Request the bytes from first to last, both included.

        Raises:
            DownloadError: when certificate, proxy or environment cannot be used.
            RetryError: when no answer comes.
        """
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        connecting = self._connection.sock is None
        try:
            if connecting:
                self._connection.connect()
                connecting = False
            self._connection.request(
                "GET",
                self._way.before_path + path,
                headers=self._headers | {"Range": f"bytes={first}-{last}"},
            )
            self._response = cast(Response, self._connection.getresponse())
        except OSError as error:
            raise self._failure(error, self._peer(connecting=connecting)) from error
        except (http.client.HTTPException, ValueError) as error:
            peer = self._peer(connecting=connecting)
            raise RetryError(f"{peer}: {reason_of(error)}") from error
        return self._response

    def _peer(self, *, connecting: bool) -> str:
        """Name the host that an error comes from, as far as this end can know."""
        host, proxy = self._url.hostname, self._way.through
        if proxy and connecting and self._connection.sock is None:
            return str(proxy)
        return f"{host} through {proxy}" if proxy else str(host)

    def _failure(self, error: OSError, peer: str) -> DownloadError | RetryError:
        """Name the cause of an error, and say whether a retry can help."""
        host, proxy = self._url.hostname, self._way.through
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = error.verify_message.rstrip(".")
            return DownloadError(
                NOT_AS_PLANNED,
                f"{host}: its certificate is not trusted ({reason})"
                + _CERTIFICATE_REMEDIES.get(error.verify_code, ""),
            )
        # http.client has the status of a refused tunnel only in the message.
        tunnel = re.match(r"Tunnel connection failed: (\d{3})\b", str(error))
        if tunnel is None:
            return RetryError(f"{peer}: {reason_of(error)}")
        if tunnel[1] == "407" and proxy:
            return DownloadError(
                NO_ACCESS,
                f"{host}: the proxy requires a login (HTTP 407). Set it in {proxy.variable}.",
            )
        if tunnel[1] == "403":
            return DownloadError(NO_ACCESS, f"{host}: the proxy refuses the connection (HTTP 403)")
        return RetryError(f"{peer}: HTTP {tunnel[1]}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        # It owns the socket if the server closes the connection after it.
        if self._response is not None:
            self._response.close()


def reason_of(error: Exception) -> str:
    """Describe an error without http.client's message, which may contain a signed address."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved ({error.strerror})"
    if isinstance(error, OSError) and (error.strerror or error.args):
        return f"{type(error).__name__}: {error.strerror or error.args[0]}"
    return type(error).__name__


def is_address(url: str) -> bool:
    """Whether a text is an http or https address."""
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        # http.client refuses a host with other characters, with an error that shows the address.
        is_host = re.fullmatch(r"[!-~]+", parts.hostname or "") is not None
        return parts.scheme in ("http", "https") and is_host and parts.port != 0
    return False
