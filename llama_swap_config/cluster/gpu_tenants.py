"""The GPU's tenants, and the window that borrows the GPU from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llama_swap_config.cluster.patterns import ADDRESS, DNS_LABEL, DNS_NAME, SCHEDULE
from llama_swap_config.errors import require_setting

_QUEUE = re.compile(r"[A-Za-z]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImmichQueues:
    """The queues of an Immich whose jobs need its machine learning on the GPU.

    Without machine learning those jobs fail at once and are not retried, so a window pauses them.
    """

    url: str
    """Address from a pod, such as `http://immich-server.immich.svc.cluster.local:2283`."""
    api_key_secret: str | None = None
    """Secret in the endpoint's namespace with an administrator's IMMICH_API_KEY, for the restoring
    CronJob (default: none; it cannot resume the queues that a killed window left paused)."""
    names: tuple[str, ...] = ("smartSearch", "faceDetection", "ocr")
    """The queues that call machine learning, as Immich's API spells them."""

    def __post_init__(self) -> None:
        queues = "gpu_window.tenants.queues"
        require_setting(
            ADDRESS.fullmatch(self.url),
            f"{queues}.url",
            self.url,
            "http(s)://host[:port][/path], without a login",
        )
        require_setting(
            self.api_key_secret is None or DNS_NAME.fullmatch(self.api_key_secret),
            f"{queues}.api_key_secret",
            self.api_key_secret,
            "the name of a Secret in the endpoint's namespace",
        )
        require_setting(
            self.names and len(set(self.names)) == len(self.names),
            f"{queues}.names",
            self.names,
            "at least one, without duplicates",
        )
        for name in self.names:
            require_setting(
                _QUEUE.fullmatch(name),
                f"{queues}.names",
                name,
                "a name as Immich's API spells it, such as 'smartSearch'",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTenant:
    """A Deployment that uses the GPU."""

    namespace: str
    deployment: str
    queues: ImmichQueues | None = None
    """Queues of its jobs, which a window pauses (default: none)."""

    def __post_init__(self) -> None:
        require_setting(
            DNS_LABEL.fullmatch(self.namespace),
            "gpu_window.tenants.namespace",
            self.namespace,
            "a DNS label",
        )
        require_setting(
            DNS_NAME.fullmatch(self.deployment),
            "gpu_window.tenants.deployment",
            self.deployment,
            "the name of a Deployment",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuWindow:
    """How `python -m ops window` borrows the GPU, and what restores the tenants."""

    tenants: tuple[GpuTenant, ...]
    """Deployments that are scaled to 0 and restored, both in this order."""
    restore_schedule: str | None = "*/5 * * * *"
    """Cron schedule on which the cluster restores a window past its deadline; None disables it,
    and only `python -m ops window --restore` restores the tenants of a killed window."""

    def __post_init__(self) -> None:
        schedule = self.restore_schedule
        require_setting(
            schedule is None or SCHEDULE.fullmatch(schedule),
            "gpu_window.restore_schedule",
            schedule,
            "five fields of cron, such as '*/5 * * * *', or None to disable it",
        )
        require_setting(
            self.tenants,
            "gpu_window.tenants",
            self.tenants,
            "at least one tenant, or gpu_window=None if nothing else uses the GPU",
        )
        names = [f"{tenant.namespace}/{tenant.deployment}" for tenant in self.tenants]
        for name in names:
            require_setting(
                names.count(name) == 1, "gpu_window.tenants", name, "each Deployment once"
            )
        with_queues = [
            name
            for name, tenant in zip(names, self.tenants, strict=True)
            if tenant.queues is not None
        ]
        require_setting(
            len(with_queues) <= 1,
            "gpu_window.tenants.queues",
            with_queues,
            "at most one tenant with queues, because there is one IMMICH_API_KEY",
        )
