"""Fetch pictures from addresses that a consumer sends, from the public internet only."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property

import httpx2

from .policy import Pictures
from .refusal import RefusedError

_TIMEOUT_S = 20
_MOST_REDIRECTS = 3
_LAST_PORT = 65535

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(str(address[0]) for *_, address in found)


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, and not another one in disguise."""
    if isinstance(address, ipaddress.IPv6Address):
        # Only global unicast, without 6to4 and Teredo, which contain an IPv4 address.
        inside = address in ipaddress.ip_network("2000::/3")
        if not inside or address.sixtofour or address.teredo:
            return False
    return address.is_global and not address.is_multicast


class Fetcher:
    """Fetches pictures. Each host is resolved once, and connected by the address checked."""

    def __init__(
        self,
        limits: Pictures,
        *,
        resolve: Resolve = resolve,
        public: Callable[[Address], bool] = is_public,
    ) -> None:
        """Fetch within limits.

        Args:
            limits: Bytes of a picture, and the public ranges that are the operator's own.
            resolve: Returns the addresses of a host and port (default: asks the system).
            public: Whether an address may be connected to (default: `is_public`).
        """
        self._limits = limits
        self._resolve = resolve
        self._is_public = public
        self._internal = tuple(ipaddress.ip_network(each) for each in limits.internal_ranges)

    @cached_property
    def _certificates(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def fetch(self, url: str) -> bytes:
        """Fetch what stands at an address.

        Raises:
            RefusedError: when it is not public, does not answer or is too large. The message names
                the host only: the rest of an address may be a secret.
        """
        try:
            # A client for one picture: no cookie and no connection outlives it.
            async with (
                asyncio.timeout(_TIMEOUT_S),
                httpx2.AsyncClient(trust_env=False, verify=self._certificates) as client,
            ):
                here = httpx2.URL(url)
                for _ in range(_MOST_REDIRECTS + 1):
                    there = await self._one(client, here)
                    if isinstance(there, bytes):
                        return there
                    here = there
        except TimeoutError:
            raise _refused(f"did not arrive within {_TIMEOUT_S} s") from None
        except httpx2.InvalidURL:
            raise _refused("has a malformed address") from None
        except httpx2.HTTPError as error:
            raise _refused(f"cannot be fetched ({type(error).__name__})") from None
        raise _refused(f"is redirected more than {_MOST_REDIRECTS} times")

    async def _one(self, client: httpx2.AsyncClient, url: httpx2.URL) -> bytes | httpx2.URL:
        """Return the content of one address, or the address to which it redirects."""
        port = url.port or (443 if url.scheme == "https" else 80)
        known = url.scheme in ("http", "https") and url.host and port <= _LAST_PORT
        if not known or url.userinfo:
            raise _refused("has an address other than http(s)://host[:port]/path")
        host = url.raw_host.decode("ascii")
        address = await self._public(host, port)
        request = client.build_request(
            "GET",
            url.copy_with(host=str(address), port=port),
            headers={"host": url.netloc.decode("ascii"), "accept-encoding": "identity"},
            extensions={"sni_hostname": host},
        )
        response = await client.send(request, stream=True)
        try:
            if response.is_redirect:
                return url.join(response.headers.get("location", ""))
            if response.status_code != 200:
                raise _refused(f"cannot be fetched from {host}: HTTP {response.status_code}")
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > self._limits.bytes:
                    raise RefusedError(
                        413,
                        "picture_too_large",
                        f"the picture at {host} has more than {self._limits.bytes:,} bytes",
                    )
            return bytes(content)
        finally:
            await response.aclose()

    async def _public(self, host: str, port: int) -> Address:
        try:
            found = [ipaddress.ip_address(each) for each in await self._resolve(host, port)]
        except (OSError, ValueError, UnicodeError):
            found = []
        if not found:
            raise _refused(f"has a host without an address: {host[:100]}")
        for address in found:
            if not self._is_public(address) or any(address in each for each in self._internal):
                raise RefusedError(
                    403,
                    "remote_picture",
                    f"the picture's host {host[:100]} is {address}; expected a public address",
                )
        return found[0]


def _refused(what: str) -> RefusedError:
    return RefusedError(400, "remote_picture", f"the picture {what}")
