"""The schedule on which the volume is verified and pruned."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.cluster.cron import require_schedule
from llama_swap_config.errors import require_setting
from llama_swap_config.typed import typed


@typed("settings", "upkeep.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """When and how the volume is verified and pruned."""

    schedule: str = "17 4 * * 0"
    """Cron schedule, in the time zone of the kube-controller-manager."""
    verify_rate_mb_s: int = 40
    """Megabytes a second at most; serving has priority."""
    quarantine: bool = True
    """Whether a corrupt file is set aside and downloaded again; the Job fails in either case, so
    that it is noticed."""
    prune_grace_h: int = 168
    """Hours that an unused file stays, so that a rollback needs no download."""

    def __post_init__(self) -> None:
        require_schedule("upkeep.schedule", self.schedule)
        for name in ("verify_rate_mb_s", "prune_grace_h"):
            value = getattr(self, name)
            require_setting(value >= 1, f"upkeep.{name}", value, "at least 1")
