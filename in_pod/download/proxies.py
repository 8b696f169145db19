"""The environment's proxies, in the spellings that curl, Go and Python read.

HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, upper or lower case, name a proxy; an empty variable counts
as unset. NO_PROXY lists hosts, domains, addresses and networks, each with or without a port.
"""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.parse
from base64 import b64encode
from dataclasses import dataclass, field

from .contract import NOT_AS_PLANNED
from .errors import DownloadError

DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT = re.compile(r"(?P<host>[^:]+|\[.*\]):(?P<port>[0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy."""

    variable: str
    """The variable that names it."""
    host: str
    port: int
    headers: dict[str, str] = field(repr=False)
    """Its login; empty if it has none."""

    def __str__(self) -> str:
        return f"the proxy {self.host}:{self.port} of {self.variable}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def proxy_of(url: urllib.parse.SplitResult) -> Proxy | None:
    """Return the proxy for a host; None for this machine and the hosts of NO_PROXY.

    Raises:
        DownloadError: with NOT_AS_PLANNED when the proxy cannot be used. The message does not
            show its address, which may contain a login.
    """
    host, port = (url.hostname or "").rstrip("."), url.port or DEFAULT_PORTS.get(url.scheme, 0)
    variable, value = _first(f"{url.scheme}_proxy", "all_proxy")
    if not value or is_loopback(host):
        return None
    entries = re.split(r"[,\s]+", _first("no_proxy")[1].lower())
    if any(_covers(entry, host, port) for entry in entries):
        return None
    return _proxy(variable, value)


def _first(*names: str) -> tuple[str, str]:
    """Return the first variable that is set and not empty, with its value."""
    for name in names:
        for variable in (name, name.upper()):
            if value := os.environ.get(variable, "").strip():
                return variable, value
    return "", ""


def _proxy(variable: str, value: str) -> Proxy:
    try:
        parts = urllib.parse.urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _unusable(variable, "is invalid") from error
    if parts.scheme.startswith("socks"):
        raise _unusable(variable, "is a SOCKS proxy, which is not supported")
    if parts.scheme != "http":
        raise _unusable(variable, f"begins with {parts.scheme}://, which is not supported")
    # A login with an unescaped character, such as / or #, ends up in these.
    if not host or port == 0 or parts.path.strip("/") or parts.query or parts.fragment:
        raise _unusable(variable, "is invalid")
    headers = {}
    if parts.username:
        login = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
        headers["Proxy-Authorization"] = "Basic " + b64encode(login.encode()).decode()
    return Proxy(variable=variable, host=host, port=port or 80, headers=headers)


def _unusable(variable: str, reason: str) -> DownloadError:
    return DownloadError(NOT_AS_PLANNED, f"{variable} {reason}; expected http://[login@]host:port")


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means a host."""
    if entry == "*":
        return True
    if match := _PORT.fullmatch(entry):
        if int(match["port"][:6]) != port:
            return False
        entry = match["host"]
    entry = entry.strip("[]")
    address = _address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and f".{host}".endswith(f".{domain}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
