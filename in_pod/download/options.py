"""How patient and how greedy a run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How patient and how greedy a run is."""

    connections: int = 16
    """At most, in all."""
    patience_s: float = 120.0
    """The run ends when no byte came for so long."""
    lease_s: float = 60.0
    wait_s: float = 600.0
    """How long to wait for another run on the same volume."""
