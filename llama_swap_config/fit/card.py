"""The card: what of its memory models may take."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.errors import ConfigError, require_setting

USABLE_MIB = {"Tesla-T4": 14912}
"""Product, as the node's label `nvidia.com/gpu.product` says it -> MiB that CUDA hands out.

Tesla-T4: the log of `ggml_cuda_init`; never the 15360 of nvidia-smi. A driver of the R450 series
showed 15110, so confirm it on the node: `nvidia-smi --query-gpu=memory.total,memory.reserved`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoTenant:
    """Another program on the same card, which Kubernetes shares by time and not by memory."""

    name: str
    peak_mib: int
    """The most that it ever takes, not what it takes when idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A GPU and what is left of it.

    Raises:
        ConfigError: for a product without a known size, a number that is none, and co-tenants
            that leave nothing.
    """

    product: str
    usable_mib: int = -1
    """What CUDA can hand out; left out (-1): what `USABLE_MIB` says of the product."""
    co_tenants: tuple[CoTenant, ...] = ()
    """Who else is on the card; left out: nobody."""
    floor_mib: int = 0
    """What has to stay free beside all of them."""
    cuda_context_mib: int = 192
    """One process's CUDA context and cuBLAS pools: 125 worked back from a T4, 167 to 173 seen on
    an RTX of 8 GB. A budget takes more than either."""
    vision_pools_mib: int = 64
    """What an F16 projector's products add to the pools; an allowance, not measured."""

    def __post_init__(self) -> None:
        if self.usable_mib == -1:
            if self.product not in USABLE_MIB:
                raise ConfigError.of(
                    "settings", "gpu.product", self.product,
                    allowed=f"{', '.join(USABLE_MIB)}, or any with its own usable_mib",
                    remedy="add usable_mib, as ggml_cuda_init logs it",
                )  # fmt: skip
            object.__setattr__(self, "usable_mib", USABLE_MIB[self.product])
        for name, least in (
            ("usable_mib", 1),
            ("floor_mib", 0),
            ("cuda_context_mib", 0),
            ("vision_pools_mib", 0),
        ):
            value = getattr(self, name)
            require_setting(
                type(value) is int and value >= least, f"gpu.{name}", value,
                f"a whole number, at least {least}",
            )  # fmt: skip
        names = [tenant.name for tenant in self.co_tenants]
        for tenant in self.co_tenants:
            require_setting(
                type(tenant.peak_mib) is int and tenant.peak_mib >= 1,
                f"gpu.co_tenants {tenant.name!r} peak_mib", tenant.peak_mib,
                "a whole number, at least 1",
            )  # fmt: skip
            require_setting(
                bool(tenant.name) and names.count(tenant.name) == 1,
                "gpu.co_tenants", tenant.name, "each name once",
            )  # fmt: skip
        require_setting(
            self.free_mib > 0, "gpu.co_tenants", self.share,
            "tenants and a floor that leave memory for a model",
        )  # fmt: skip

    @property
    def free_mib(self) -> int:
        """What the models may take together."""
        return self.usable_mib - self.floor_mib - sum(each.peak_mib for each in self.co_tenants)

    @property
    def share(self) -> str:
        """How `free_mib` comes about, in words."""
        taken = [f"{each.name} {each.peak_mib}" for each in self.co_tenants]
        if self.floor_mib:
            taken.append(f"floor {self.floor_mib}")
        if not taken:
            return f"{self.usable_mib} MiB of {self.product}"
        less = ", ".join(taken)
        return f"{self.free_mib} MiB ({self.usable_mib} of {self.product} less {less})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a model's memory depends on beside the model: the card, and the engine on it."""

    card: Card
    engine_build: int
    """The build of llama.cpp: its compute buffer grew after 10524."""
