"""The HTTP client of every command: its proxies, its certificates, and the true cause of an error.

It reads the environment as the download program does (`in_pod/download/proxies.py`, `tls.py`).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2

from in_pod.download.errors import DownloadError
from in_pod.download.proxies import Proxy, proxy_of
from in_pod.download.tls import client_context
from ops.errors import OpsError, one_line, reason_of

_EXPIRED_OR_EARLY = (9, 10)
"""OpenSSL's X509_V_ERR numbers of a certificate that is not valid now."""


def http_client(
    *,
    through_proxy: bool = False,
    keeps_connections: bool = True,
    headers: Mapping[str, str] | None = None,
    timeout: httpx2.Timeout | float | None = None,
) -> httpx2.Client:
    """Make a client; it reads the environment with its first request.

    Args:
        through_proxy: Use the environment's proxies, never for this machine (default: connect
            directly). A client that carries keys or photos to a server of the operator connects
            directly: HTTP_PROXY and HTTPS_PROXY are meant for the internet, and a proxy reads what
            is sent over http, or over https if its CA is trusted.
        keeps_connections: Keep idle connections open (default: yes).
        headers: Sent with each request (default: none).
        timeout: Seconds for each step of a request, if the request has none of its own (default:
            no limit).
    """
    return httpx2.Client(
        transport=_Transport(through_proxy=through_proxy, keeps_connections=keeps_connections),
        trust_env=False,
        headers=dict(headers or {}),
        timeout=timeout,
    )


class _Transport(httpx2.BaseTransport):
    """Sends each request directly or through the proxy of its address."""

    def __init__(self, *, through_proxy: bool, keeps_connections: bool) -> None:
        self._through_proxy = through_proxy
        self._limits = httpx2.Limits(max_keepalive_connections=20 if keeps_connections else 0)
        self._ways: dict[tuple[str, str, str], httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            OpsError: when a variable of the environment is invalid.
            httpx2.TransportError: when no answer comes; it names the proxy if that is the cause.
        """
        try:
            proxy = proxy_of(urlsplit(str(request.url))) if self._through_proxy else None
        except DownloadError as error:
            raise OpsError(str(error)) from error
        try:
            return self._way(request.url.scheme, proxy).handle_request(request)
        except httpx2.TransportError as error:
            raise type(error)(_cause(error, proxy), request=request) from error

    def _way(self, scheme: str, proxy: Proxy | None) -> httpx2.HTTPTransport:
        login = "" if proxy is None else proxy.headers.get("Proxy-Authorization", "")
        key = (scheme, "" if proxy is None else str(proxy), login)
        if key not in self._ways:
            self._ways[key] = httpx2.HTTPTransport(
                verify=_authorities() if scheme == "https" else _no_authorities(),
                limits=self._limits,
                proxy=None if proxy is None else _as_httpx(proxy),
                trust_env=False,
            )
        return self._ways[key]

    def close(self) -> None:
        """Close the connections."""
        for way in self._ways.values():
            way.close()


def _as_httpx(proxy: Proxy) -> httpx2.Proxy:
    url = httpx2.URL(scheme="http", host=proxy.host, port=proxy.port)
    return httpx2.Proxy(url, headers=proxy.headers)


def _authorities() -> ssl.SSLContext:
    """Return the CAs of the environment, or else the system's, which macOS keeps in its keychain.

    Raises:
        OpsError: when SSL_CERT_FILE or SSL_CERT_DIR names no certificates.
    """
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        return httpx2.create_ssl_context(trust_env=False)
    try:
        return client_context()
    except ValueError as error:
        raise OpsError(str(error)) from error


def _no_authorities() -> ssl.SSLContext:
    """Trust nobody: http needs no certificates, and to read them takes longer than an answer."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _cause(error: httpx2.TransportError, proxy: Proxy | None) -> str:
    """Name the cause of an error, and the proxy as far as it takes part."""
    tls = _tls_error(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        remedy = (
            "Check this machine's clock"
            if tls.verify_code in _EXPIRED_OR_EARLY
            else "If a private CA or a proxy signed it, set SSL_CERT_FILE to the file of that CA"
        )
        reason = one_line(tls.verify_message.rstrip("."))
        return f"its certificate is not trusted: {reason}. {remedy}"
    if proxy is None:
        return str(error)
    if isinstance(error, httpx2.ProxyError):
        status = str(error)[:3]
        if status == "407":
            return f"the proxy requires a login (HTTP 407). Set it in {proxy.variable}"
        refusal = "refuses the connection " if status == "403" else ""
        return f"{proxy} {refusal}(HTTP {status})"
    if tls is None and isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return f"{proxy}: {reason_of(error)}"
    return f"through {proxy}: {reason_of(error)}"


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Find the TLS error that another error was raised from."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
