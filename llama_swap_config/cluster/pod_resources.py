"""The resources of the serving pod: GPU, CPU, memory and disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Literal

from llama_swap_config.cluster.patterns import DNS_NAME, LABEL_VALUE, QUALIFIED_NAME
from llama_swap_config.cluster.storage import LocalSsdStorage
from llama_swap_config.errors import require_setting
from llama_swap_config.fit.card import SHARED, Card, CardFigures, CoTenant
from llama_swap_config.typed import typed

HOSTNAME = "kubernetes.io/hostname"
"""The label that every node has, with its own name."""
PRODUCT = "nvidia.com/gpu.product"
"""The label with the card's name, from GPU Feature Discovery."""
MOST_CARDS = 16
"""Of one process: GGML_CUDA_MAX_DEVICES of llama.cpp."""
TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@typed("settings", "gpu.taints.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint of the GPU node, which the pods tolerate whatever its value and effect."""

    key: str
    value: str = ""
    effect: TaintEffect = "NoSchedule"

    def __post_init__(self) -> None:
        require_setting(
            QUALIFIED_NAME.fullmatch(self.key),
            "gpu.taints.key",
            self.key,
            "a key such as 'nvidia.com/gpu'",
        )
        require_setting(
            LABEL_VALUE.fullmatch(self.value),
            "gpu.taints.value",
            self.value,
            "a value such as 'present', or none",
        )


@typed(
    "settings",
    "gpu.",
    co_tenants="sharing=AtOnce(co_tenants=...)",
    taint_key='taints=(Taint(key="..."),)',
)
@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu(CardFigures):
    """The card, or several alike, and the node that has them."""

    count: int = 1
    """Cards of the pod, of which each model names its own (`cards`)."""
    node_selector: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"nvidia.com/gpu.present": "true"})
    )
    taints: tuple[Taint, ...] = (Taint(key="nvidia.com/gpu"),)
    """Taints of that node."""
    runtime_class: str | None = None
    """RuntimeClass of the serving pod, such as `nvidia` (default: the node's default runtime)."""
    resource: str = "nvidia.com/gpu"
    """The extended resource by which the device plugin hands the card out; `nvidia.com/gpu.shared`
    where it renames a shared card."""
    cuda_cache: LocalSsdStorage | None = None
    """An existing directory of that node for CUDA's compiled kernels, writable to `run_as_user`
    (default: none; each pod compiles them again for a card that the image has no machine code for,
    such as a T4)."""

    def __post_init__(self) -> None:
        # `super()` does not know a class that `slots` made anew.
        CardFigures.__post_init__(self)
        require_setting(
            1 <= self.count <= MOST_CARDS,
            "gpu.count",
            self.count,
            f"1 to {MOST_CARDS} cards",
        )
        require_setting(
            self.product and LABEL_VALUE.fullmatch(self.product),
            "gpu.product",
            self.product,
            "the node's label nvidia.com/gpu.product, such as 'NVIDIA-GeForce-RTX-3090'",
        )
        require_setting(
            self.node_selector,
            "gpu.node_selector",
            self.node_selector,
            "labels of the GPU node, such as {'nvidia.com/gpu.present': 'true'}",
        )
        for key, value in self.node_selector.items():
            pattern = DNS_NAME if key == HOSTNAME else LABEL_VALUE
            require_setting(
                QUALIFIED_NAME.fullmatch(key) and pattern.fullmatch(value),
                "gpu.node_selector",
                {key: value},
                "a label of the GPU node, such as {'nvidia.com/gpu.present': 'true'}",
            )
        require_setting(
            self.runtime_class is None or DNS_NAME.fullmatch(self.runtime_class),
            "gpu.runtime_class",
            self.runtime_class,
            "the name of a RuntimeClass, such as 'nvidia', or None",
        )
        require_setting(
            "/" in self.resource and QUALIFIED_NAME.fullmatch(self.resource),
            "gpu.resource",
            self.resource,
            "an extended resource, such as 'nvidia.com/gpu'",
        )
        require_setting(
            not self.resource.startswith(("requests.", "kubernetes.io/")),
            "gpu.resource",
            self.resource,
            "a resource of the device plugin's own domain, such as 'nvidia.com/gpu'",
        )
        require_setting(
            self.node_selector.get(PRODUCT, self.product).removesuffix(SHARED)
            == self.unshared_product,
            "gpu.node_selector",
            dict(self.node_selector),
            f"gpu.product, which is {self.product!r}, as its label {PRODUCT}",
        )
        cache = self.cuda_cache
        if cache is not None:
            node = self.node_selector.get(HOSTNAME, cache.node)
            require_setting(
                cache.node == node,
                "gpu.cuda_cache.node",
                cache.node,
                f"{node!r}, the node of gpu.node_selector",
            )

    def card(self, co_tenants: tuple[CoTenant, ...]) -> Card:
        """Return the card as the budget sees it, beside other programs."""
        return Card(
            product=self.product,
            usable_mib=self.usable_mib,
            floor_mib=self.floor_mib,
            cuda_context_mib=self.cuda_context_mib,
            vision_pools_mib=self.vision_pools_mib,
            co_tenants=co_tenants,
        )


@typed("settings", "resources.")
@dataclass(frozen=True, slots=True, kw_only=True)
class PodResources:
    """Requests and limits of the serving pod beside the GPU."""

    cpu_request_millicores: int = 1000
    memory_request_gib: int = 4
    memory_limit_gib: int = 12
    """Covers the page cache of the largest model while it loads, which counts against the
    limit."""
    ephemeral_storage_limit_gib: int = 4
    """For logs, HOME and compiled CUDA kernels; above it the kubelet evicts this pod and not the
    node's other pods."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            require_setting(value >= 1, f"resources.{name}", value, "at least 1")
        require_setting(
            self.memory_request_gib <= self.memory_limit_gib,
            "resources.memory_request_gib",
            self.memory_request_gib,
            f"at most memory_limit_gib, which is {self.memory_limit_gib}",
        )
