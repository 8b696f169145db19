"""Ports of 127.0.0.1 that nobody has."""

from __future__ import annotations

import random
import socket

from ops.errors import OpsError

_RANGE = (20000, 32000)
"""Below what Linux gives to outgoing connections (32768 and up): a port that is found free here
stays free until its server starts, minutes later perhaps."""


def free_ports(count: int = 1) -> int:
    """Find this many free ports in a row.

    Returns:
        The first of them.

    Raises:
        OpsError: when there are none.
    """
    for _ in range(1000):
        first = random.randrange(_RANGE[0], _RANGE[1] - count)  # noqa: S311 - no secret.
        if all(refusal(port) is None for port in range(first, first + count)):
            return first
    raise OpsError(f"no {count} free ports in a row on 127.0.0.1; end what holds them")


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
