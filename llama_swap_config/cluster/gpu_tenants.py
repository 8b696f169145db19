"""Who else uses the card, and how a window takes it from them for a while."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llama_swap_config.cluster.patterns import ADDRESS, DNS_LABEL, DNS_NAME, SCHEDULE
from llama_swap_config.errors import require_setting

_QUEUE = re.compile(r"[A-Za-z]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImmichQueues:
    """The queues of an Immich whose jobs need its machine learning on the card.

    Without it those jobs fail at once, and are not tried again: so they are paused first.
    """

    url: str
    """As a pod reaches it: `http://immich-server.immich.svc.cluster.local:2283`."""
    api_key_secret: str | None = None
    """Secret in the endpoint's namespace with an administrator's IMMICH_API_KEY, for the CronJob
    that restores; left out: it cannot resume what a killed window left paused."""
    names: tuple[str, ...] = ("smartSearch", "faceDetection", "ocr")
    """The three that call machine learning, as Immich's API spells them."""

    def __post_init__(self) -> None:
        of = "gpu_window.tenants.queues"
        require_setting(
            ADDRESS.fullmatch(self.url),
            f"{of}.url",
            self.url,
            "http(s)://host[:port][/path], without a login",
        )
        require_setting(
            self.api_key_secret is None or DNS_NAME.fullmatch(self.api_key_secret),
            f"{of}.api_key_secret",
            self.api_key_secret,
            "the name of a Secret in the endpoint's namespace",
        )
        require_setting(
            self.names and len(set(self.names)) == len(self.names),
            f"{of}.names",
            self.names,
            "at least one, each once",
        )
        for name in self.names:
            require_setting(
                _QUEUE.fullmatch(name),
                f"{of}.names",
                name,
                "names as Immich's API spells them, such as 'smartSearch'",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTenant:
    """A Deployment that holds the card."""

    namespace: str
    deployment: str
    queues: ImmichQueues | None = None
    """Its work, paused meanwhile; left out: it has none that would be lost."""

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
    """How `python -m ops window` takes the card for a while, and who gives it back."""

    tenants: tuple[GpuTenant, ...]
    """Scaled to 0 in this order, and back in the same."""
    restore_schedule: str | None = "*/5 * * * *"
    """Cron: how often the cluster itself looks for a window past its deadline; None: never, and
    what a killed window took comes back with the next `python -m ops window --restore` only."""

    def __post_init__(self) -> None:
        schedule = self.restore_schedule
        require_setting(
            schedule is None or SCHEDULE.fullmatch(schedule),
            "gpu_window.restore_schedule",
            schedule,
            "five fields of cron, as in '*/5 * * * *', or None for never",
        )
        require_setting(
            self.tenants,
            "gpu_window.tenants",
            self.tenants,
            "at least one, or gpu_window=None where nobody shares the card",
        )
        names = [f"{tenant.namespace}/{tenant.deployment}" for tenant in self.tenants]
        for name in names:
            require_setting(
                names.count(name) == 1, "gpu_window.tenants", name, "each of them once"
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
            "at most one tenant with queues: there is one IMMICH_API_KEY",
        )
