"""Refuse a GPU window that could not be taken, or not be given back."""

from __future__ import annotations

import re

from llama_swap_config.cluster.gpu_tenants import GpuTenant, GpuWindow, ImmichQueues
from llama_swap_config.errors import require_setting
from stacks.patterns import ADDRESS, DNS_LABEL, DNS_NAME, SCHEDULE

_QUEUE = re.compile(r"[A-Za-z]+", re.ASCII)


def check_gpu_window(window: GpuWindow, *, namespace: str) -> None:
    """Check what the settings say about who shares the card.

    Args:
        window: The setting.
        namespace: The endpoint's own.

    Raises:
        ConfigError: naming the field.
    """
    schedule = window.restore_schedule
    require_setting(
        schedule is None or bool(SCHEDULE.fullmatch(schedule)),
        "gpu_window.restore_schedule",
        schedule,
        "five fields of cron, as in '*/5 * * * *', or None for never",
    )
    require_setting(
        bool(window.tenants),
        "gpu_window.tenants",
        window.tenants,
        "at least one, or gpu_window=None where nobody shares the card",
    )
    for tenant in window.tenants:
        _check_tenant(tenant, namespace)
    names = [f"{each.namespace}/{each.deployment}" for each in window.tenants]
    for name in names:
        require_setting(names.count(name) == 1, "gpu_window.tenants", name, "each of them once")
    with_queues = [
        name for name, each in zip(names, window.tenants, strict=True) if each.queues is not None
    ]
    require_setting(
        len(with_queues) <= 1,
        "gpu_window.tenants.queues",
        with_queues,
        "at most one tenant with queues: there is one IMMICH_API_KEY",
    )


def _check_tenant(tenant: GpuTenant, namespace: str) -> None:
    require_setting(
        bool(DNS_LABEL.fullmatch(tenant.namespace)),
        "gpu_window.tenants.namespace",
        tenant.namespace,
        "a DNS label",
    )
    require_setting(
        tenant.namespace != namespace,
        "gpu_window.tenants.namespace",
        tenant.namespace,
        "another namespace than the endpoint's own",
    )
    require_setting(
        bool(DNS_NAME.fullmatch(tenant.deployment)),
        "gpu_window.tenants.deployment",
        tenant.deployment,
        "the name of a Deployment",
    )
    if tenant.queues is not None:
        _check_queues(tenant.queues)


def _check_queues(queues: ImmichQueues) -> None:
    require_setting(
        bool(ADDRESS.fullmatch(queues.url)),
        "gpu_window.tenants.queues.url",
        queues.url,
        "http(s)://host[:port][/path], without a login",
    )
    secret = queues.api_key_secret
    require_setting(
        secret is None or bool(DNS_NAME.fullmatch(secret)),
        "gpu_window.tenants.queues.api_key_secret",
        secret,
        "the name of a Secret in the endpoint's namespace",
    )
    require_setting(
        bool(queues.names) and len(set(queues.names)) == len(queues.names),
        "gpu_window.tenants.queues.names",
        queues.names,
        "at least one, each once",
    )
    for name in queues.names:
        require_setting(
            bool(_QUEUE.fullmatch(name)),
            "gpu_window.tenants.queues.names",
            name,
            "names as Immich's API spells them, such as 'smartSearch'",
        )
