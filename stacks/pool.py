"""A further pool: cards of another node, in a namespace of their own."""

from __future__ import annotations

from dataclasses import dataclass, field

from llama_swap_config.cluster.patterns import DNS_LABEL
from llama_swap_config.cluster.pod_resources import Gpu, PodResources
from llama_swap_config.cluster.sharing import Alone, Sharing
from llama_swap_config.cluster.storage import Storage
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.residency import ONE_AT_A_TIME, Residency
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.typed import typed


@typed("pool")
@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A further endpoint: a node or alike nodes, its cards, its front end and its models.

    What it does not say is as in the settings, which are the first pool themselves.

    Raises:
        ConfigError: when a field has a value that it does not accept; the message names it.
    """

    name: str
    """By which a model names it as its home. Its namespace is that of the settings, a hyphen and
    this name."""
    gpu: Gpu
    """Its cards, and labels of a node that no other pool has."""
    storage: Storage | None = None
    """Its own volume, with a download Job of its own (default: the NFS export of the
    settings)."""
    storage_size_gib: int | None = None
    """Of its own volume (default: as in the settings)."""
    sharing: Sharing = field(default_factory=Alone)
    """Who owns its cards (default: nothing else uses them)."""
    residency: Residency = ONE_AT_A_TIME
    """Which of its models may be on a card together; RESIDENCY of the registry is of the first
    pool."""
    resources: PodResources | None = None
    """Of its serving pod (default: as in the settings)."""
    llama_swap_image: str | None = None
    """(default: as in the settings)"""
    engine_build: int | None = None
    """Build of llama.cpp in its image; all homes of a model have the same (default: as in the
    settings)."""
    front_end: FrontEndName | None = None
    """(default: as in the settings)"""
    llama_swap: LlamaSwapSettings | None = None
    """(default: as in the settings)"""

    def __post_init__(self) -> None:
        if not DNS_LABEL.fullmatch(self.name):
            raise self.error("name", self.name, "a DNS label")
        if self.storage is None and self.storage_size_gib is not None:
            raise self.error(
                "storage_size_gib", self.storage_size_gib,
                "None without `storage`: the size of a shared volume is that of the settings",
            )  # fmt: skip

    def error(self, field: str, value: object, expected: str) -> ConfigError:
        """Make the error for a field of this pool."""
        return ConfigError.of(
            f"pool {self.name!r}", field, value,
            expected=expected, remedy="Correct it in stacks/production.py",
        )  # fmt: skip
