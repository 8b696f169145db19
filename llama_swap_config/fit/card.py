"""The card, and how much of its memory models may use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llama_swap_config.errors import ConfigError, require_setting
from llama_swap_config.typed import typed

USABLE_MIB = {"Tesla-T4": 14912, "NVIDIA-L4": 22478, "NVIDIA-GeForce-RTX-3090": 24123}
"""Product, as in the node's label `nvidia.com/gpu.product` -> MiB that CUDA can allocate.

The smallest `VRAM: N MiB` in a log of `ggml_cuda_init` on Linux, never the total of nvidia-smi.
Tesla-T4: 14912 of 15360; 15110 with a driver of the R450 series. NVIDIA-L4: pull request 22546 of
ggml-org/llama.cpp. RTX 3090: 24126 in its issue 20431, 24123 to 24159 in five other logs. It
depends on the driver, so confirm it on the node with `ON_THE_NODE`.
"""
_TURING = re.compile(r"Tesla-T4|RTX-20\d\d|Quadro-RTX|TITAN-RTX|GTX-16\d\d")
"""Products of compute capability 7.5, as the T4 on which a quantised KV cache was measured: its
operator's figures for an 8B with build 9879. Reading prompts was as fast as before."""
ON_THE_NODE = "nvidia-smi --query-gpu=memory.total,memory.reserved --format=csv"
"""The command whose first number less the second is what CUDA can allocate."""
SHARED = "-SHARED"
"""What GPU Feature Discovery adds to the product of a card that the device plugin hands out
several times under its usual name."""


@typed("settings", "sharing.co_tenants.")
@dataclass(frozen=True, slots=True, kw_only=True)
class CoTenant:
    """Another program on the same card: Kubernetes shares its time, not its memory."""

    name: str
    peak_mib: int
    """Its peak use, not its idle use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFigures:
    """The figures of a GPU.

    Raises:
        ConfigError: when the product has no known size, or a field is not a number.
    """

    product: str
    usable_mib: int = -1
    """MiB that CUDA can allocate (default: the product's in `USABLE_MIB`)."""
    floor_mib: int = 0
    """MiB to keep free whatever runs on it."""
    cuda_context_mib: int = 192
    """CUDA context and cuBLAS pools of one process: 125 derived from a T4's log, 167 to 173 seen
    on an RTX of 8 GB. The default is above both."""
    vision_pools_mib: int = 64
    """MiB that an F16 projector's products add to the pools; an allowance, not measured."""

    def __post_init__(self) -> None:
        if self.usable_mib == -1:
            usable_mib = USABLE_MIB.get(self.unshared_product)
            if usable_mib is None:
                raise ConfigError.of(
                    "settings", "gpu.product", self.product,
                    expected=f"{', '.join(USABLE_MIB)}, or another product with usable_mib",
                    remedy=f"Set gpu.usable_mib to memory.total less memory.reserved of "
                    f"`{ON_THE_NODE}` on the GPU node",
                )  # fmt: skip
            object.__setattr__(self, "usable_mib", usable_mib)
        for name, least in (
            ("usable_mib", 1),
            ("floor_mib", 0),
            ("cuda_context_mib", 0),
            ("vision_pools_mib", 0),
        ):
            value = getattr(self, name)
            require_setting(
                value >= least, f"gpu.{name}", value,
                f"a whole number of at least {least}",
            )  # fmt: skip

    @property
    def unshared_product(self) -> str:
        """The product as it is called where the device plugin hands the card out once."""
        return self.product.removesuffix(SHARED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card(CardFigures):
    """A GPU and the memory that is left for models.

    Raises:
        ConfigError: when the co-tenants leave no memory.
    """

    co_tenants: tuple[CoTenant, ...] = ()
    """Other programs on the card (default: none)."""

    def __post_init__(self) -> None:
        # `super()` does not know a class that `slots` made anew.
        CardFigures.__post_init__(self)
        names = [tenant.name for tenant in self.co_tenants]
        for tenant in self.co_tenants:
            require_setting(
                tenant.peak_mib >= 1,
                f"sharing.co_tenants {tenant.name!r} peak_mib", tenant.peak_mib,
                "a whole number of at least 1",
            )  # fmt: skip
            require_setting(
                bool(tenant.name) and names.count(tenant.name) == 1,
                "sharing.co_tenants", tenant.name, "unique names",
            )  # fmt: skip
        require_setting(
            self.free_mib > 0, "sharing.co_tenants", self.share,
            "co-tenants and a gpu.floor_mib that leave memory for a model",
        )  # fmt: skip

    @property
    def free_mib(self) -> int:
        """MiB that the models may use together."""
        return (
            self.usable_mib - self.floor_mib - sum(tenant.peak_mib for tenant in self.co_tenants)
        )

    @property
    def quantised_cache(self) -> str:
        """What is known of the speed of a quantised KV cache on this card, as a clause."""
        if _TURING.search(self.product):
            return (
                "where a quantised cache is the last way out: on a T4 an 8B answered with 0.58 "
                "tokens/s instead of 33"
            )
        return "where the speed of a quantised cache is to be measured"

    @property
    def share(self) -> str:
        """How `free_mib` is computed, in words."""
        taken = [f"{tenant.name} {tenant.peak_mib}" for tenant in self.co_tenants]
        if self.floor_mib:
            taken.append(f"floor {self.floor_mib}")
        if not taken:
            return f"{self.usable_mib} MiB of {self.product}"
        return f"{self.free_mib} MiB ({self.usable_mib} of {self.product} less {', '.join(taken)})"

    def share_of(self, number: int | None) -> str:
        """Return `share` with the card's number; None: there is only one."""
        return self.share if number is None else f"card {number}, {self.share}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The card and the engine: what a model's VRAM depends on beside the model."""

    card: Card
    engine_build: int
    """Build of llama.cpp; its compute buffer grew after 10524."""
