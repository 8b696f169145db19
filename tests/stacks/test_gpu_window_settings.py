"""The settings refuse a GPU window that could not be opened or restored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.gpu_tenants import GpuTenant, GpuWindow, ImmichQueues
from llama_swap_config.errors import ConfigError
from tests.declaration.settings import BARE, SETTINGS

URL = "http://immich-server.immich.svc.cluster.local:2283"
TENANT = GpuTenant(namespace="immich", deployment="immich-machine-learning")


def tenant(**changes: Any) -> GpuWindow:
    return GpuWindow(tenants=(replace(TENANT, **changes),))


def queues(**changes: Any) -> GpuWindow:
    return tenant(queues=ImmichQueues(**({"url": URL} | changes)))


BAD_WINDOWS: dict[str, tuple[Callable[[], GpuWindow], str]] = {
    "nobody": (
        lambda: GpuWindow(tenants=()),
        "gpu_window.tenants is (); expected at least one tenant, or",
    ),
    "no namespace": (
        lambda: tenant(namespace=""),
        "gpu_window.tenants.namespace is ''; expected a DNS",
    ),
    "namespace with a dot": (lambda: tenant(namespace="a.b"), "tenants.namespace is 'a.b'"),
    "own namespace": (
        lambda: tenant(namespace="llama-cpp"),
        "another namespace than the endpoint's",
    ),
    "deployment with capitals": (
        lambda: tenant(deployment="ML"),
        "tenants.deployment is 'ML'; expected",
    ),
    "deployment with a path": (
        lambda: tenant(deployment="a/scale"),
        "tenants.deployment is 'a/scale'",
    ),
    "deployment with a wildcard": (lambda: tenant(deployment="*"), "tenants.deployment is '*'"),
    "deployment too long": (lambda: tenant(deployment="a" * 254), "tenants.deployment is 'aaa"),
    "deployment with an empty label": (lambda: tenant(deployment="a..b"), "deployment is 'a..b'"),
    "twice": (
        lambda: GpuWindow(tenants=(TENANT, replace(TENANT, queues=ImmichQueues(url=URL)))),
        "tenants is 'immich/immich-machine-learning'; expected each Deployment once",
    ),
    "two with queues": (
        lambda: GpuWindow(
            tenants=tuple(
                replace(TENANT, namespace=name, queues=ImmichQueues(url=URL)) for name in "ab"
            )
        ),
        "tenants.queues is ['a/immich-machine-learning', 'b/immich-machine-learning']; expected "
        "at most one",
    ),
    "address without scheme": (lambda: queues(url="immich:2283"), "queues.url is 'immich:2283'"),
    "address with a login": (lambda: queues(url="http://a:b@immich"), "without a login"),
    "address with a query": (
        lambda: queues(url=f"{URL}?key=1"),
        "queues.url is 'http://immich-server",
    ),
    "secret": (
        lambda: queues(api_key_secret="Immich Key"),
        "queues.api_key_secret is 'Immich Key'",
    ),
    "no queue": (lambda: queues(names=()), "queues.names is (); expected at least one"),
    "queue twice": (lambda: queues(names=("ocr", "ocr")), "queues.names is ('ocr', 'ocr')"),
    "queue that is a path": (lambda: queues(names=("ocr/../x",)), "queues.names is 'ocr/../x'"),
    "schedule in words": (
        lambda: GpuWindow(tenants=(TENANT,), restore_schedule="often"),
        "gpu_window.restore_schedule is 'often'; expected five fields of cron",
    ),
    "schedule of six fields": (
        lambda: GpuWindow(tenants=(TENANT,), restore_schedule="0 */5 * * * *"),
        "restore_schedule is '0 */5 * * * *'",
    ),
}


@pytest.mark.parametrize(("window", "message"), BAD_WINDOWS.values(), ids=BAD_WINDOWS.keys())
def test_a_bad_window_is_refused(window: Callable[[], GpuWindow], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SETTINGS, gpu_window=window())
    text = str(caught.value)
    assert message in text
    assert text.startswith("settings: gpu_window.")
    assert "\n" not in text


def test_a_tenant_may_be_in_llama_cpp_if_the_endpoint_is_not() -> None:
    window = tenant(namespace="llama-cpp")
    assert replace(SETTINGS, namespace="vision", gpu_window=window).gpu_window == window


@pytest.mark.parametrize(
    "window",
    [
        tenant(deployment="ml.v2"),
        queues(url="https://immich.example/base", api_key_secret="immich-admin", names=("ocr",)),
        GpuWindow(tenants=(TENANT, replace(TENANT, deployment="other")), restore_schedule=None),
        GpuWindow(tenants=(TENANT,), restore_schedule="0,30 6-23 * * MON"),
    ],
    ids=["dotted name", "all of immich", "two of one namespace, never", "schedule"],
)
def test_a_good_window_is_accepted(window: GpuWindow) -> None:
    assert replace(SETTINGS, gpu_window=window).gpu_window == window


def test_the_default_is_no_window() -> None:
    assert BARE.gpu_window is None


def test_production_shares_its_gpu_with_immich() -> None:
    assert SETTINGS.gpu_window == GpuWindow(
        tenants=(replace(TENANT, queues=ImmichQueues(url=URL)),), restore_schedule="*/5 * * * *"
    )
