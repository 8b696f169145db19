"""This cluster's names, sizes, images, node and addresses.

Edit this file for another cluster. settings.py explains each value and what it accepts.
"""

from __future__ import annotations

from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.ignored_fields import IgnoredField
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.pod_resources import Gpu, PodResources, Taint
from llama_swap_config.cluster.sharing import Alone, AtOnce, ByWindow
from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage, ProvisionedStorage
from llama_swap_config.cluster.upkeep import Upkeep
from llama_swap_config.fit.card import CoTenant
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from stacks.settings import Settings

PRODUCTION = Settings(
    namespace="llama-cpp",
    state_schema="llama-cpp",
    storage=NfsStorage(server="192.168.1.127", path="/srv/nfs-ssd/llamacpp"),
    storage_size_gib=30,
    gpu=Gpu(product="Tesla-T4"),
    # The legacy CUDA image, with llama-swap v250: the digest decides, the tag is what it follows.
    llama_swap_image=(
        "ghcr.io/mostlygeek/llama-swap:cuda"
        "@sha256:50c640b15d7914ba356eb1e034680907b6c25eff7bdbe0071d77b907abfc0e0b"
    ),
    engine_build=10524,
    python_image=(
        "ghcr.io/astral-sh/uv:python3.13-bookworm-slim"
        "@sha256:531f855bda2c73cd6ef67d56b733b357cea384185b3022bd09f05e002cd144ca"
    ),
    # The LiteLLM that asks for the consumers of llama_swap_config/consumers.py.
    gateway=ExistingGateway(namespace="litellm", litellm_version="1.108.7"),
    monitoring_namespaces=("monitoring",),
    # The Secret has the endpoint's own key, which the gateway sends; docs/settings.md has more.
    api_key_secret="llama-swap-keys",
    llama_swap=LlamaSwapSettings(api_key_env=("KEY_GATEWAY",)),
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
