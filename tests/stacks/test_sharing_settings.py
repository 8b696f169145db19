"""The settings refuse a way to share the card that could not work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.pod_resources import Gpu
from llama_swap_config.cluster.sharing import Alone, AtOnce, ByWindow
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import CoTenant
from tests.declaration.settings import BARE, SETTINGS

URL = "http://immich-server.immich.svc.cluster.local:2283"
TENANT = GpuTenant(namespace="immich", name="immich-machine-learning")


def tenant(**changes: Any) -> ByWindow:
    return ByWindow(tenants=(replace(TENANT, **changes),))


def queues(**changes: Any) -> ByWindow:
    return tenant(queues=ImmichQueues(**({"url": URL} | changes)))


BAD_WINDOWS: dict[str, tuple[Callable[[], ByWindow], str]] = {
    "nobody": (
        lambda: ByWindow(tenants=()),
        "sharing.tenants is (); expected at least one tenant, or",
    ),
    "no namespace": (
        lambda: tenant(namespace=""),
        "sharing.tenants.namespace is ''; expected a DNS",
    ),
    "namespace with a dot": (lambda: tenant(namespace="a.b"), "tenants.namespace is 'a.b'"),
    "own namespace": (
        lambda: tenant(namespace="llama-cpp"),
        "another namespace than the endpoint's",
    ),
    "name with capitals": (
        lambda: tenant(name="ML"),
        "tenants.name is 'ML'; expected",
    ),
    "name with a path": (
        lambda: tenant(name="a/scale"),
        "tenants.name is 'a/scale'",
    ),
    "name with a wildcard": (lambda: tenant(name="*"), "tenants.name is '*'"),
    "name too long": (lambda: tenant(name="a" * 254), "tenants.name is 'aaa"),
    "name with an empty label": (lambda: tenant(name="a..b"), "name is 'a..b'"),
    "twice": (
        lambda: ByWindow(tenants=(TENANT, replace(TENANT, queues=ImmichQueues(url=URL)))),
        "tenants is 'Deployment immich/immich-machine-learning'; expected each workload once",
    ),
    "two with queues": (
        lambda: ByWindow(
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
        lambda: ByWindow(tenants=(TENANT,), restore_schedule="often"),
        "sharing.restore_schedule is 'often'; expected five fields of cron",
    ),
    "schedule of six fields": (
        lambda: ByWindow(tenants=(TENANT,), restore_schedule="0 */5 * * * *"),
        "restore_schedule is '0 */5 * * * *'",
    ),
}

CO_TENANT = CoTenant(name="immich-ml", peak_mib=2000)


def at_once(**changes: Any) -> AtOnce:
    return replace(AtOnce(co_tenants=(CO_TENANT,), slices=2), **changes)


BAD_SLICES: dict[str, tuple[Callable[[], AtOnce], str]] = {
    "nobody": (lambda: at_once(co_tenants=()), "co_tenants is (); expected at least one program"),
    "one slice": (lambda: at_once(slices=1), "slices is 1; expected the replicas of the device"),
    "slices in words": (lambda: at_once(slices="2"), "slices is '2'; expected"),
    "all slices": (lambda: at_once(request=2), "request is 2; expected at least 1, and fewer"),
    "no slice": (lambda: at_once(request=0), "request is 0; expected at least 1"),
    "the whole card": (
        lambda: at_once(co_tenants=(CoTenant(name="immich-ml", peak_mib=14912),)),
        "co_tenants is '0 MiB (14912 of Tesla-T4 less immich-ml 14912)'; expected co-tenants and",
    ),
}


@pytest.mark.parametrize(("sharing", "message"), BAD_SLICES.values(), ids=BAD_SLICES.keys())
def test_a_card_that_cannot_be_shared_at_once_is_refused(
    sharing: Callable[[], AtOnce], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SETTINGS, sharing=sharing())
    text = str(caught.value)
    assert message in text
    assert text.startswith("settings: sharing.")
    assert "\n" not in text


def test_programs_that_share_the_card_count_in_the_budget() -> None:
    assert replace(SETTINGS, sharing=at_once()).node.card.free_mib == 14912 - 2000
    assert SETTINGS.node.card.free_mib == 14912


RENAMED: dict[str, tuple[Callable[[], object], str]] = {
    "gpu_window": (
        lambda: replace(SETTINGS, gpu_window=None),  # type: ignore[call-arg]
        "settings: gpu_window is None; expected its new name. Write "
        "sharing=ByWindow(tenants=...), or sharing=Alone() instead of None in "
        "stacks/production.py.",
    ),
    "gpu.co_tenants": (
        lambda: Gpu(product="Tesla-T4", co_tenants=()),  # type: ignore[call-arg]
        "Write sharing=AtOnce(co_tenants=...) in stacks/production.py.",
    ),
    "gpu.taint_key": (
        lambda: Gpu(product="Tesla-T4", taint_key="gpu"),  # type: ignore[call-arg]
        "settings: gpu.taint_key is 'gpu'; expected",
    ),
    "tenant.deployment": (
        lambda: GpuTenant(namespace="immich", deployment="ml"),  # type: ignore[call-arg]
        "settings: sharing.tenants.deployment is 'ml'; expected",
    ),
}


@pytest.mark.parametrize(("old", "message"), RENAMED.values(), ids=RENAMED.keys())
def test_an_old_name_of_a_setting_names_the_new_one(
    old: Callable[[], object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        old()
    assert message in str(caught.value)


def test_an_old_import_names_the_new_class() -> None:
    with pytest.raises(ConfigError, match="sharing import ByWindow"):
        from llama_swap_config.cluster.gpu_tenants import GpuWindow  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize(("window", "message"), BAD_WINDOWS.values(), ids=BAD_WINDOWS.keys())
def test_a_bad_window_is_refused(window: Callable[[], ByWindow], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SETTINGS, sharing=window())
    text = str(caught.value)
    assert message in text
    assert text.startswith("settings: sharing.")
    assert "\n" not in text


def test_a_tenant_may_be_in_llama_cpp_if_the_endpoint_is_not() -> None:
    window = tenant(namespace="llama-cpp")
    assert replace(SETTINGS, namespace="vision", sharing=window).sharing == window


@pytest.mark.parametrize(
    "window",
    [
        tenant(name="ml.v2"),
        queues(url="https://immich.example/base", api_key_secret="immich-admin", names=("ocr",)),
        ByWindow(tenants=(TENANT, replace(TENANT, name="other")), restore_schedule=None),
        ByWindow(tenants=(TENANT,), restore_schedule="0,30 6-23 * * MON"),
    ],
    ids=["dotted name", "all of immich", "two of one namespace, never", "schedule"],
)
def test_a_good_window_is_accepted(window: ByWindow) -> None:
    assert replace(SETTINGS, sharing=window).sharing == window


def test_by_default_nothing_else_uses_the_card() -> None:
    assert BARE.sharing == Alone()


def test_production_shares_its_gpu_with_immich() -> None:
    assert SETTINGS.sharing == ByWindow(
        tenants=(replace(TENANT, queues=ImmichQueues(url=URL)),), restore_schedule="*/5 * * * *"
    )
