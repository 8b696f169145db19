"""Who owns the card: the three ways to share it, of which the settings declare one."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.cluster.cron import require_schedule
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.errors import require_setting
from llama_swap_config.fit.card import CoTenant
from llama_swap_config.typed import typed


@typed("settings", "sharing.")
@dataclass(frozen=True, slots=True, kw_only=True)
class ByWindow:
    """The tenants own the card; the endpoint uses it while it is idle, and in windows.

    The endpoint's pod has a priority below theirs and waits at its replicas: it takes an idle card
    and loses it whenever a tenant's pod needs it.
    """

    tenants: tuple[GpuTenant, ...]
    """Workloads that a window scales to 0 and restores, both in this order."""
    restore_schedule: str | None = "*/5 * * * *"
    """Cron schedule on which the cluster restores a window past its deadline; None disables it,
    and only `python -m ops window --restore` restores the tenants of a killed window."""

    def __post_init__(self) -> None:
        if self.restore_schedule is not None:
            require_schedule(
                "sharing.restore_schedule", self.restore_schedule, ", or None to disable it"
            )
        require_setting(
            self.tenants,
            "sharing.tenants",
            self.tenants,
            "at least one tenant, or sharing=Alone() if nothing else uses the card",
        )
        names = [f"{tenant.kind} {tenant}" for tenant in self.tenants]
        for name in names:
            require_setting(names.count(name) == 1, "sharing.tenants", name, "each workload once")
        with_queues = [str(tenant) for tenant in self.tenants if tenant.queues is not None]
        require_setting(
            len(with_queues) <= 1,
            "sharing.tenants.queues",
            with_queues,
            "at most one tenant with queues, because there is one IMMICH_API_KEY",
        )


@typed("settings", "sharing.")
@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce:
    """The endpoint and other programs run on the card at the same time.

    The device plugin hands the card out several times, by time-slicing or MPS. The co-tenants
    count in the budget; nothing else protects their memory.
    """

    co_tenants: tuple[CoTenant, ...]
    """The other programs on the card."""
    slices: int
    """How often the device plugin hands the card out: its `replicas`."""
    request: int = 1
    """Slices that the endpoint's pod requests; NVIDIA's plugin by default refuses more than 1."""

    def __post_init__(self) -> None:
        require_setting(
            self.co_tenants,
            "sharing.co_tenants",
            self.co_tenants,
            "at least one program, or sharing=Alone() if nothing else uses the card",
        )
        require_setting(
            self.slices >= 2,
            "sharing.slices",
            self.slices,
            "the replicas of the device plugin's configuration, at least 2",
        )
        require_setting(
            1 <= self.request < self.slices,
            "sharing.request",
            self.request,
            f"at least 1, and fewer than slices, which is {self.slices}",
        )


@typed("settings", "sharing.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """Nothing else uses the card."""


Sharing = ByWindow | AtOnce | Alone
