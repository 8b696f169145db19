"""Ports of 127.0.0.1 that nobody has."""

from __future__ import annotations

import os
import random
import re
import socket
from collections.abc import Collection

from ops.errors import OpsError

RANGE_VARIABLE = "SERVER_PORTS"
_RANGE = "20000-32000"
"""Below what Linux gives to outgoing connections (32768 and up): a port that is found free here
stays free until its server starts, minutes later perhaps."""


def free_ports(count: int = 1, *, avoid: Collection[int] = ()) -> int:
    """Find this many free ports in a row.

    Args:
        count: How many.
        avoid: Ports that another server of the same command will take, which nothing holds yet.

    Returns:
        The first of them, within the range `$SERVER_PORTS` (default: 20000-32000). Commands that
        start servers at the same time need ranges of their own: nothing reserves a port between
        this answer and the start of its server.

    Raises:
        OpsError: when there are none, and when the range is malformed or too small.
    """
    low, high = _range()
    if high - low < count:
        raise OpsError(f"{RANGE_VARIABLE} is {low}-{high}; expected at least {count} ports")
    for _ in range(1000):
        first = random.randint(low, high - count)  # noqa: S311 - no secret.
        ports = range(first, first + count)
        if not any(port in avoid or refusal(port) for port in ports):
            return first
    raise OpsError(f"no {count} free ports in a row on 127.0.0.1; end what holds them")


def _range() -> tuple[int, int]:
    """Read the range; its end is the first port that is not in it."""
    text = os.environ.get(RANGE_VARIABLE, _RANGE)
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if found is None:
        raise OpsError(f"{RANGE_VARIABLE} is {text!r}; expected two ports, such as {_RANGE}")
    return int(found[1]), int(found[2])


def refusal(port: int) -> str | None:
    """Say why a port cannot be had; None when it can."""
    with socket.socket() as probe:
        # As servers do: connections that are ending do not hold a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return getattr(error, "strerror", None) or str(error)
        return None
