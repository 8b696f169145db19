"""The resources of the serving pod: GPU, CPU, memory and disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from llama_swap_config.fit.card import Card, CardFigures, CoTenant
from llama_swap_config.renamed import renamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint of the GPU node, which the pods tolerate whatever its value and effect."""

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


@renamed(
    "gpu.",
    co_tenants="sharing=AtOnce(co_tenants=...)",
    taint_key='taints=(Taint(key="..."),)',
)
@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu(CardFigures):
    """The card, and the node that has it."""

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
