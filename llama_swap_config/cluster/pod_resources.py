"""The resources of the serving pod: GPU, CPU, memory and disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from llama_swap_config.fit.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu(Card):
    """The card, and the node that has it."""

    node_selector: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"nvidia.com/gpu.present": "true"})
    )
    taint_key: str = "nvidia.com/gpu"
    """Taint of the GPU node, which the pods tolerate whatever its effect."""


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
