"""The time limits of a window."""

from __future__ import annotations

from dataclasses import dataclass

from .contract import DEAD_S, PATIENCE_S, READY_S, TERMINATE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Intervals and time limits, in seconds."""

    poll_s: float = 1.0
    renew_s: float = 10.0
    """Interval of the heartbeats."""
    lease_s: int = DEAD_S
    """Duration in the Lease: without a heartbeat for so long, its owner is dead."""
    terminate_s: float = TERMINATE_S
    """Limit for a tenant that was scaled down to begin to terminate its pods."""
    ready_s: float = READY_S
    """Limit for the tenants to be ready again."""
    patience_s: float = PATIENCE_S
    """Limit for retries of the API server."""
    immich_patience_s: float = 30.0
    """Limit for retries of Immich; shorter than a Lease lives without a heartbeat."""
