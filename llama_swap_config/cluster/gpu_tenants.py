"""The GPU's tenants: workloads that own the card and lend it for a window."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llama_swap_config.cluster.patterns import ADDRESS, DNS_LABEL, DNS_NAME
from llama_swap_config.errors import require_setting
from llama_swap_config.renamed import renamed_import
from llama_swap_config.typed import typed

TenantKind = Literal["Deployment", "StatefulSet"]

_QUEUE = re.compile(r"[A-Za-z]+", re.ASCII)


@typed("settings", "sharing.tenants.queues.")
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
        queues = "sharing.tenants.queues"
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


@typed(
    "settings",
    "sharing.tenants.",
    deployment='name="...", and kind="StatefulSet" for a StatefulSet,',
)
@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTenant:
    """A workload that uses the GPU."""

    namespace: str
    kind: TenantKind = "Deployment"
    name: str
    queues: ImmichQueues | None = None
    """Queues of its jobs, which a window pauses (default: none)."""

    def __post_init__(self) -> None:
        require_setting(
            DNS_LABEL.fullmatch(self.namespace),
            "sharing.tenants.namespace",
            self.namespace,
            "a DNS label",
        )
        require_setting(
            DNS_NAME.fullmatch(self.name),
            "sharing.tenants.name",
            self.name,
            f"the name of a {self.kind}",
        )

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def names_by_kind(tenants: Iterable[GpuTenant]) -> dict[str, dict[TenantKind, list[str]]]:
    """Return namespace -> kind -> names of tenants, in their order."""
    namespaces: dict[str, dict[TenantKind, list[str]]] = {}
    for tenant in tenants:
        namespaces.setdefault(tenant.namespace, {}).setdefault(tenant.kind, []).append(tenant.name)
    return namespaces


if not TYPE_CHECKING:  # Otherwise a type checker would accept any name.
    __getattr__ = renamed_import(
        __name__,
        GpuWindow="GpuWindow is ByWindow now. Use `from llama_swap_config.cluster.sharing import "
        "ByWindow`, and sharing=ByWindow(...) instead of gpu_window=GpuWindow(...).",
    )
