"""What the serving pod takes of its node: the card, processor time, memory and disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from llama_swap_config.fit.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu(Card):
    """The card, and how a pod comes to it."""

    node_selector: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"nvidia.com/gpu.present": "true"})
    )
    taint_key: str = "nvidia.com/gpu"
    """The taint of the GPU node that both pods tolerate, whatever its effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodResources:
    """What the serving pod asks of its node beside the GPU."""

    cpu_request_millicores: int = 1000
    memory_request_gib: int = 4
    memory_limit_gib: int = 12
    """Holds the page cache of the largest model while it loads: the limit counts that cache."""
    ephemeral_storage_limit_gib: int = 4
    """Logs, HOME and the compiled CUDA kernels; above it the kubelet evicts the pod, not the
    node's other pods."""
