"""Ranges of IP addresses for NetworkPolicies, and the addresses in the settings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

INTERNET = ("0.0.0.0/0", "2000::/3")
"""The internet by family. IANA allocates IPv6 for global unicast from 2000::/3 only, so loopback
(::1), mapped and translated IPv4 (::ffff:0:0/96, 64:ff9b::/96, 64:ff9b:1::/48), discard-only
(100::/64), SRv6 (5f00::/16), unique local (fc00::/7), link-local (fe80::/10) and multicast
(ff00::/8) addresses need no line below."""
NOT_THE_INTERNET = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by carriers; Alibaba's metadata service",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "Azure's metadata service",
    "169.254.0.0/16": "link-local; the other clouds' metadata services",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments; Oracle's metadata service",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112, which answers for private names",
    "192.52.193.0/24": "multicast tunnels",
    "192.88.99.0/24": "relays of 6to4",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, and broadcast",
    "2001::/23": "protocol assignments: Teredo, benchmarks, ORCHID, AS112",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4, which wraps any IPv4 address",
    "2620:4f:8000::/48": "AS112",
    "3fff::/20": "documentation",
}
"""Range within `INTERNET` -> why no picture and no model is there: all of IANA's special-purpose
registries, multicast, and a cloud's metadata service."""
PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Ranges for the inside of a network."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", re.ASCII)


def within(cidr: str, ranges: Iterable[str]) -> list[str]:
    """Return the ranges that are smaller than a range and inside it, in the order of addresses."""
    outer = ipaddress.ip_network(cidr)
    inner = {text: ipaddress.ip_network(text) for text in ranges}
    return sorted(
        (text for text, network in inner.items() if network != outer and _in(network, outer)),
        key=lambda text: (inner[text].network_address.packed, inner[text].prefixlen),
    )


def is_part_of_internet(text: str) -> bool:
    """Whether a text is a range in CIDR that leaves some of the internet."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return False
    return "/" in text and not any(_in(ipaddress.ip_network(cidr), network) for cidr in INTERNET)


def ip_and_port(text: str) -> tuple[str, int] | None:
    """Read `192.168.1.10:6443` or `[fd00::1]:6443`; None for another text."""
    match = _WITH_PORT.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= 65535:
        return None
    try:
        return str(ipaddress.ip_address(match[1] or match[2])), int(match[3])
    except ValueError:
        return None


def _in(inner: _Network, outer: _Network) -> bool:
    first, last = inner.network_address, inner.broadcast_address
    return inner.version == outer.version and first in outer and last in outer
