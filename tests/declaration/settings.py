"""The tests' frozen settings, independent of the operator's edits.

It imports what stacks/production.py does: tests edit it as the pages tell their readers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.pod_resources import Gpu, PodResources, Taint
from llama_swap_config.cluster.sharing import Alone, AtOnce, ByWindow
from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage, ProvisionedStorage
from llama_swap_config.cluster.upkeep import Upkeep
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from stacks.settings import Settings

BARE = Settings(
    namespace="llama-cpp",
    state_schema="llama-cpp",
    storage=NfsStorage(server="192.168.1.127", path="/srv/nfs-ssd/llamacpp"),
    storage_size_gib=30,
    gpu=Gpu(product="Tesla-T4"),
    llama_swap_image=(
        "ghcr.io/mostlygeek/llama-swap"
        "@sha256:50c640b15d7914ba356eb1e034680907b6c25eff7bdbe0071d77b907abfc0e0b"
    ),
    engine_build=10524,
    python_image=(
        "ghcr.io/astral-sh/uv:python3.13-bookworm-slim"
        "@sha256:531f855bda2c73cd6ef67d56b733b357cea384185b3022bd09f05e002cd144ca"
    ),
    monitoring_namespaces=("monitoring",),
    # Without a key a test's request needs no header; remote pictures require one.
    allow_no_key=True,
    remote_images=False,
)
"""Settings with only the required fields, and without a key."""

SETTINGS = replace(
    BARE,
    upkeep=Upkeep(),
    monitoring=Monitoring(),
    sharing=ByWindow(
        tenants=(
            GpuTenant(
                namespace="immich",
                name="immich-machine-learning",
                queues=ImmichQueues(url="http://immich-server.immich.svc.cluster.local:2283"),
            ),
        )
    ),
)

WITH_KEY: dict[str, Any] = {
    "api_key_secret": "llama-swap-keys",
    "llama_swap": LlamaSwapSettings(api_key_env=("KEY_GATEWAY",)),
}
"""Settings that a gateway requires."""
EXISTING_GATEWAY = ExistingGateway(namespace="litellm", litellm_version="1.108.7")
GATEWAY = Gateway(
    image=(
        "ghcr.io/berriai/litellm:v1.108.7"
        "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    ),
    litellm_version="1.108.7",
)

PRODUCTION = SETTINGS
"""As programs under test import it: conftest.py puts this file where stacks/production.py is."""
