"""Free ports on 127.0.0.1."""

from __future__ import annotations

import os
import random
import re
import socket
from collections.abc import Collection

from ops.errors import OpsError

RANGE_VARIABLE = "SERVER_PORTS"
_RANGE = "20000-32000"
"""Below the ports of outgoing connections (32768 and up on Linux), so that a free port stays free
until its server starts, perhaps minutes later."""


def free_ports(count: int = 1, *, avoid: Collection[int] = ()) -> int:
    """Find consecutive free ports.

    Args:
        count: How many (default: 1).
        avoid: Ports that another server of the same command will use.

    Returns:
        The first of them, in the range `$SERVER_PORTS` (default: 20000-32000). Commands that run
        at the same time need different ranges: nothing reserves a port until its server starts.

    Raises:
        OpsError: when there are none, or the range is malformed or too small.
    """
    low, high = _range()
    if high - low < count:
        raise OpsError(f"{RANGE_VARIABLE} is {low}-{high}; expected at least {count} ports")
    for _ in range(1000):
        first = random.randint(low, high - count)  # noqa: S311 - no secret.
        ports = range(first, first + count)
        if not any(port in avoid or refusal(port) for port in ports):
            return first
    raise OpsError(
        f"127.0.0.1 has no {count} consecutive free ports. Stop the servers that use them."
    )


def _range() -> tuple[int, int]:
    """Read the range; its end is exclusive."""
    text = os.environ.get(RANGE_VARIABLE, _RANGE)
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if match is None:
        raise OpsError(f"{RANGE_VARIABLE} is {text!r}; expected two ports, such as {_RANGE}")
    return int(match[1]), int(match[2])


def usable_port(port: int | None) -> int:
    """Return the port that an operator chose, or a free one for None.

    Raises:
        OpsError: when it is not available.
    """
    if port is None:
        return free_ports()
    reason = refusal(port)
    if reason is not None:
        raise OpsError(
            f"port {port} on 127.0.0.1 is not available ({reason}); pass another --port, or omit "
            "it to use a free port"
        )
    return port


def refusal(port: int) -> str | None:
    """Return why a port cannot be used; None if it is free."""
    with socket.socket() as probe:
        # As servers do: closing connections do not block a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return getattr(error, "strerror", None) or str(error)
        return None
