"""HTTP connections to the hub and to signed addresses, through a proxy if one is set."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import urllib.parse
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from typing import cast

from .contract import NO_ACCESS, NOT_AS_PLANNED
from .errors import DownloadError, RetryError


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Address of a file's bytes: on the hub, or signed on another host."""

    url: str
    at_hub: bool
    hops: int = 0
    """Redirects by other hosts before this address."""


class Network:
    """Connects to hosts directly or through the environment's proxy."""

    def __init__(self, *, timeout_s: float) -> None:
        """Read the environment's proxies.

        Raises:
            DownloadError: with NOT_AS_PLANNED when one is not an address.
        """
        for scheme, proxy in urllib.request.getproxies().items():
            if scheme in ("http", "https") and not is_address(_proxy_url(proxy)):
                raise DownloadError(
                    NOT_AS_PLANNED,
                    f"{scheme.upper()}_PROXY is invalid; expected http://[login@]host:port",
                )
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()

    def connect(
        self, url: urllib.parse.SplitResult
    ) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """Make a connection, through the environment's proxy if there is one.

        Returns:
            The connection, the prefix of a request's path, and headers for the proxy.
        """
        host = url.hostname or ""
        proxy = urllib.request.getproxies().get(url.scheme)
        if proxy is None or urllib.request.proxy_bypass(url.netloc):
            proxied = None
            target = (host, url.port)
        else:
            proxied = urllib.parse.urlsplit(_proxy_url(proxy))
            target = (proxied.hostname or "", proxied.port)
        headers = {}
        if proxied and proxied.username:
            login = f"{proxied.username}:{proxied.password or ''}"
            login = urllib.parse.unquote(login)
            headers["Proxy-Authorization"] = "Basic " + b64encode(login.encode()).decode()
        if url.scheme == "http":
            plain = http.client.HTTPConnection(*target, timeout=self._timeout_s)
            return plain, f"http://{url.netloc}" if proxied else "", headers
        secure = http.client.HTTPSConnection(*target, timeout=self._timeout_s, context=self._tls)
        if proxied:
            secure.set_tunnel(host, url.port or 443, headers)
        return secure, "", {}


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
        self._connection, self._before_path, proxy_headers = network.connect(self._url)
        self._connection.response_class = Response
        self._headers = headers | proxy_headers

    def get(self, first: int, last: int) -> Response:
        """Request the bytes from first to last, both included.

        Raises:
            DownloadError: when the host's certificate is invalid or the proxy refuses the host.
            RetryError: when no answer comes.
        """
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            self._connection.request(
                "GET",
                self._before_path + path,
                headers=self._headers | {"Range": f"bytes={first}-{last}"},
            )
            return cast(Response, self._connection.getresponse())
        except ssl.SSLCertVerificationError as error:
            raise DownloadError(
                NOT_AS_PLANNED,
                f"{self._url.hostname}: its certificate is not trusted ({error.verify_message})",
            ) from error
        except OSError as error:
            # http.client has the proxy's status only in the message.
            if match := re.fullmatch(r"Tunnel connection failed: (403|407)\b.*", str(error)):
                raise DownloadError(
                    NO_ACCESS,
                    f"{self._url.hostname}: the proxy refuses the connection (HTTP {match[1]})",
                ) from error
            raise RetryError(reason_of(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise RetryError(reason_of(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def reason_of(error: Exception) -> str:
    """Describe an error without http.client's message, which may contain a signed address."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and (error.strerror or error.args):
        return f"{type(error).__name__}: {error.strerror or error.args[0]}"
    return type(error).__name__


def is_address(url: str) -> bool:
    """Whether a text is an http or https address."""
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    return False


def _proxy_url(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"
