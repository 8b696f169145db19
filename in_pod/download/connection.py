"""One connection to where a file's bytes are, through a proxy where there is one."""

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
    """Where a file's bytes are: at the hub, or signed at another host."""

    url: str
    at_hub: bool
    hops: int = 0
    """Redirects of other hosts that led here."""


class Network:
    """How a host is reached: directly, or through the proxy that the environment names."""

    def __init__(self, *, timeout_s: float) -> None:
        """Read the environment's proxies.

        Raises:
            DownloadError: with NOT_AS_PLANNED when one is no address.
        """
        for scheme, proxy in urllib.request.getproxies().items():
            if scheme in ("http", "https") and not is_address(_proxy_url(proxy)):
                raise DownloadError(
                    NOT_AS_PLANNED,
                    f"{scheme.upper()}_PROXY is no http://[login@]host:port address",
                )
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()

    def connect(
        self, url: urllib.parse.SplitResult
    ) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """Open a connection, through the proxy that the environment names for it.

        Returns:
            Connection, what goes before the path of a request, and headers for the proxy.
        """
        host = url.hostname or ""
        proxy = urllib.request.getproxies().get(url.scheme)
        if proxy is None or urllib.request.proxy_bypass(url.netloc):
            proxied = None
            at = (host, url.port)
        else:
            proxied = urllib.parse.urlsplit(_proxy_url(proxy))
            at = (proxied.hostname or "", proxied.port)
        headers = {}
        if proxied and proxied.username:
            login = f"{proxied.username}:{proxied.password or ''}"
            login = urllib.parse.unquote(login)
            headers["Proxy-Authorization"] = "Basic " + b64encode(login.encode()).decode()
        if url.scheme == "http":
            plain = http.client.HTTPConnection(*at, timeout=self._timeout_s)
            return plain, f"http://{url.netloc}" if proxied else "", headers
        secure = http.client.HTTPSConnection(*at, timeout=self._timeout_s, context=self._tls)
        if proxied:
            secure.set_tunnel(host, url.port or 443, headers)
        return secure, "", {}


class Response(http.client.HTTPResponse):
    """An answer that hands over what has come, instead of waiting until a buffer is full.

    Without this a connection that trickles looks like one that works.
    """

    def read_some(self, buffer: memoryview) -> int:
        """Read what is there, waiting only for the first byte; 0 at the end."""
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
    """One connection to where a file's bytes are, used for one segment after the other."""

    def __init__(self, address: Address, network: Network, headers: dict[str, str]) -> None:
        """Prepare; it opens with the first request."""
        self.address = address
        self._url = urllib.parse.urlsplit(address.url)
        self._connection, self._before_path, proxy_headers = network.connect(self._url)
        self._connection.response_class = Response
        self._headers = headers | proxy_headers

    def get(self, first: int, last: int) -> Response:
        """Ask for the bytes from first to last, both included.

        Raises:
            DownloadError: when this host, or the proxy on the way, will never answer.
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
            # http.client says the proxy's status in its text alone.
            if match := re.fullmatch(r"Tunnel connection failed: (403|407)\b.*", str(error)):
                raise DownloadError(
                    NO_ACCESS, f"{self._url.hostname}: the proxy refuses it (HTTP {match[1]})"
                ) from error
            raise RetryError(reason_of(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise RetryError(reason_of(error)) from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def reason_of(error: Exception) -> str:
    """Say what went wrong without the text of http.client, which may hold a signed address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
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
