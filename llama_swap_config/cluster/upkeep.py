"""When the volume is verified and pruned."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.cluster.patterns import SCHEDULE
from llama_swap_config.errors import require_setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """When and how the volume is looked after."""

    schedule: str = "17 4 * * 0"
    """Cron, in the time zone of the kube-controller-manager."""
    verify_rate_mb_s: int = 40
    """Megabytes a second at most: serving comes first."""
    quarantine: bool = True
    """Whether a wrong file is set aside and brought anew; the Job fails either way, to be seen."""
    prune_grace_h: int = 168
    """Hours that a file stays after the last registry that named it: a rollback is free."""

    def __post_init__(self) -> None:
        require_setting(
            SCHEDULE.fullmatch(self.schedule),
            "upkeep.schedule",
            self.schedule,
            "five fields of cron, as in '17 4 * * 0'",
        )
        for name in ("verify_rate_mb_s", "prune_grace_h"):
            value = getattr(self, name)
            require_setting(value >= 1, f"upkeep.{name}", value, "at least 1")
