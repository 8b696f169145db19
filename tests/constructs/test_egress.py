"""The NetworkPolicies on connections from our pods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.sharing import ByWindow
from tests.conftest import Synth
from tests.constructs.network_policies import egress, may_connect, namespaces
from tests.constructs.synthesized import resources
from tests.declaration.settings import SETTINGS, WITH_KEY

Json = dict[str, Any]

WITH_REMOTE_IMAGES: Json = {"remote_images": True, **WITH_KEY}
PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07::1")
SPECIAL = {
    "this host": ("0.0.0.0", "::"),
    "private": ("10.96.0.1", "172.16.3.4", "192.168.1.127", "fd00::1"),
    "shared": ("100.64.0.1", "100.127.255.254"),
    "loopback": ("127.0.0.1", "127.8.9.10", "::1"),
    "link-local": ("169.254.1.1", "fe80::1"),
    "metadata": ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
    "metadata, IPv6": ("fd00:ec2::254", "fd20:ce::254"),
    "protocols": ("192.0.0.170", "2001:1::1", "2001:4:112::1"),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
    "AS112": ("192.31.196.1", "192.175.48.1", "2620:4f:8000::1"),
    "multicast tunnels": ("192.52.193.1", "2001:3::1"),
    "6to4": ("192.88.99.1", "2002:0a60:0001::1"),
    "Teredo": ("2001:0:a60:1::1",),
    "benchmarks": ("198.18.0.1", "198.19.255.254", "2001:2::1"),
    "ORCHID": ("2001:10::1", "2001:20::1", "2001:30::1"),
    "multicast": ("224.0.0.1", "ff02::1"),
    "reserved": ("240.0.0.1", "255.255.255.255"),
    "mapped IPv4": ("::ffff:10.96.0.1", "::ffff:93.184.215.14"),
    "compatible IPv4": ("::10.96.0.1",),
    "translated IPv4": ("64:ff9b::a60:1", "64:ff9b:1::a60:1"),
    "discard": ("100::1", "100:0:0:1::1"),
    "segment routing": ("5f00::1",),
    "site-local": ("fec0::1",),
}
"""Kind -> addresses where no picture is."""


@pytest.fixture(scope="session")
def images(synth: Synth) -> Json:
    ranges = ("93.184.216.0/24", "2606:2800:220::/48")
    return egress(synth(internal_ranges=ranges, **WITH_REMOTE_IMAGES), "llama-swap")


@pytest.mark.parametrize("address", PUBLIC)
def test_pictures_may_come_from_the_internet(images: Json, address: str) -> None:
    ports = {port: may_connect(images, address, port) for port in (80, 443, 22, 8080)}
    assert ports == {80: True, 443: True, 22: False, 8080: False}
    assert namespaces(images) == ["kube-system"]


@pytest.mark.parametrize("addresses", SPECIAL.values(), ids=SPECIAL.keys())
def test_pictures_may_not_come_from_special_addresses(
    images: Json, addresses: tuple[str, ...]
) -> None:
    reachable = [ip for ip in addresses for port in (80, 443) if may_connect(images, ip, port)]
    assert reachable == []


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220::1"])
def test_pictures_may_not_come_from_ranges_of_the_operator(images: Json, address: str) -> None:
    assert not may_connect(images, address, 443)


def test_without_remote_images_the_serving_pod_opens_no_connection(synth: Synth) -> None:
    assert not egress(synth(remote_images=False), "llama-swap").get("egress")


@pytest.mark.parametrize(
    ("component", "workloads"),
    [
        ("llama-swap", {"deployment_v1.llama-swap"}),
        ("model-download", {"job_v1.model-download", "cron_job_v1.model-upkeep"}),
        ("gpu-window-restore", {"cron_job_v1.gpu-window-restore"}),
    ],
)
def test_each_policy_selects_the_pods_of_its_components(
    production: Json, component: str, workloads: set[str]
) -> None:
    chosen = egress(production, component)["pod_selector"]
    selected = set()
    for name, resource in resources(production).items():
        if not name.startswith(("deployment_", "job_", "cron_job_")):
            continue
        spec = resource["spec"]
        template = spec["job_template"]["spec"] if name.startswith("cron_job_") else spec
        labels = template["template"]["metadata"]["labels"]
        if chosen["match_labels"].items() <= labels.items() and all(
            labels.get(expression["key"]) in expression["values"]
            for expression in chosen.get("match_expressions", ())
        ):
            selected.add(name)
    assert selected == workloads


def test_downloads_reach_the_hub_and_nothing_inside(production: Json) -> None:
    download = egress(production, "model-download")
    assert all(may_connect(download, address, 443) for address in PUBLIC)
    assert not any(may_connect(download, address, 80) for address in PUBLIC)
    inside = [address for addresses in SPECIAL.values() for address in addresses]
    assert not any(may_connect(download, address, 443) for address in inside)
    assert namespaces(download) == ["kube-system"]


def test_downloads_through_a_proxy_reach_only_the_proxy(synth: Synth) -> None:
    download = egress(synth(https_proxy="http://192.168.1.5:3128"), "model-download")
    assert may_connect(download, "192.168.1.5", 3128)
    assert not may_connect(download, "192.168.1.6", 3128)
    assert not may_connect(download, PUBLIC[0], 443)


def test_an_http_mirror_is_reached_beside_the_proxy(synth: Synth) -> None:
    """HTTPS_PROXY is not for http addresses."""
    download = egress(
        synth(https_proxy="http://192.168.1.5:3128", hf_endpoint="http://192.168.1.7"),
        "model-download",
    )
    assert may_connect(download, "192.168.1.5", 3128)
    assert may_connect(download, "192.168.1.7", 80)
    assert not may_connect(download, "192.168.1.7", 443)


@pytest.mark.parametrize(
    ("mirror", "reached", "not_reached", "named"),
    [
        ("https://192.168.1.7/hf", ("192.168.1.7", 443), ("192.168.1.8", 443), []),
        ("https://hub.example.org:8443", ("192.168.1.8", 8443), ("192.168.1.8", 443), []),
        ("http://olah.mirrors.svc.cluster.local:8090", None, ("10.1.2.3", 8090), ["mirrors"]),
        ("http://olah.mirrors.svc", None, ("10.1.2.3", 80), ["mirrors"]),
        ("http://olah.mirrors:8090", ("10.1.2.3", 8090), ("10.1.2.3", 80), ["mirrors"]),
        ("http://olah:8090", None, ("10.1.2.3", 8090), ["llama-cpp"]),
    ],
)
def test_a_mirror_is_reached_beside_the_internet(
    mirror: str,
    reached: tuple[str, int] | None,
    not_reached: tuple[str, int],
    named: list[str],
    synth: Synth,
) -> None:
    download = egress(synth(hf_endpoint=mirror), "model-download")
    # A mirror may redirect to signed addresses of other hosts.
    assert may_connect(download, PUBLIC[0], 443)
    assert reached is None or may_connect(download, *reached)
    assert not may_connect(download, *not_reached)
    assert namespaces(download) == [*named, "kube-system"]


def test_the_restoring_pod_reaches_a_private_api_server_and_nothing_else(
    production: Json,
) -> None:
    restore = egress(production, "gpu-window-restore")
    for address in ("10.96.0.1", "192.168.1.10", "172.18.0.2", "100.64.0.1", "fd00::1"):
        assert may_connect(restore, address, 443)
        assert may_connect(restore, address, 6443)
        assert not may_connect(restore, address, 80)
    for address in (*PUBLIC, "169.254.169.254", "127.0.0.1"):
        assert not may_connect(restore, address, 443)
    assert namespaces(restore) == []


def test_the_restoring_pod_reaches_only_the_named_api_servers(synth: Synth) -> None:
    restore = egress(
        synth(api_server=("93.184.215.14:6443", "[fd00::1]:443")), "gpu-window-restore"
    )
    assert may_connect(restore, "93.184.215.14", 6443)
    assert may_connect(restore, "fd00::1", 443)
    assert not may_connect(restore, "93.184.215.14", 443)
    assert not may_connect(restore, "10.96.0.1", 443)


def test_the_restoring_pod_reaches_immich_if_it_has_its_key(synth: Synth) -> None:
    url = "http://immich-server.immich.svc.cluster.local:2283"
    tenant = GpuTenant(
        namespace="immich",
        name="immich-machine-learning",
        queues=ImmichQueues(url=url, api_key_secret="immich-admin"),
    )
    assert isinstance(SETTINGS.sharing, ByWindow)
    sharing = replace(SETTINGS.sharing, tenants=(tenant,))
    restore = egress(synth(sharing=sharing), "gpu-window-restore")
    assert namespaces(restore) == ["immich", "kube-system"]
