"""What a window may change."""

from __future__ import annotations

from dataclasses import dataclass

from ..kubernetes.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the settings let a window change beside the endpoint."""

    tenants: tuple[Workload, ...]
    queues: tuple[str, ...] = ()
    """Immich's queues, as its API spells them (default: none)."""
