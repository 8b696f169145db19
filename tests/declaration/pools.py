"""Three pools of the frozen declaration: a T4, a card of 24 GB, and a node with two T4."""

from __future__ import annotations

from dataclasses import replace

from llama_swap_config.cluster.pod_resources import HOSTNAME, Gpu
from llama_swap_config.cluster.storage import LocalSsdStorage
from llama_swap_config.declaration import Declaration
from llama_swap_config.fit.residency import AsManyAsFit
from llama_swap_config.model import Model
from stacks.pool import Pool
from stacks.pools import DeclaredPool, pools_of
from stacks.settings import Settings
from tests.declaration.consumers import CONSUMERS
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS

T4, RTX3090, TWO_CARDS = "t4", "rtx3090", "two-cards"
NODES = {T4: "k8s-node1", RTX3090: "k8s-node2", TWO_CARDS: "k8s-node3"}
"""Pool -> its node."""
HOMES: dict[str, tuple[str, ...]] = {
    "qwen3vl-8b": (RTX3090, T4),
    "minicpm-v-4-5": (TWO_CARDS,),
    "qwen3vl-4b": (T4, TWO_CARDS),
}
"""Model -> its home, and its second home where it has one."""


def in_pools(settings: Settings) -> Settings:
    """Return settings of which the first pool is the T4, with the two further ones."""
    return replace(
        settings,
        pool=T4,
        gpu=Gpu(product="Tesla-T4", node_selector={HOSTNAME: NODES[T4]}),
        pools=(
            Pool(
                name=RTX3090,
                gpu=Gpu(
                    product="NVIDIA-GeForce-RTX-3090",
                    usable_mib=23_900,
                    node_selector={HOSTNAME: NODES[RTX3090]},
                ),
                residency=AsManyAsFit(),
            ),
            Pool(
                name=TWO_CARDS,
                gpu=Gpu(product="Tesla-T4", count=2, node_selector={HOSTNAME: NODES[TWO_CARDS]}),
                storage=LocalSsdStorage(node=NODES[TWO_CARDS], path="/srv/models"),
                storage_size_gib=40,
            ),
        ),
    )


def housed(models: tuple[Model, ...] = REGISTRY) -> tuple[Model, ...]:
    """Return models with their homes."""
    return tuple(replace(model, pools=HOMES[model.id]) for model in models)


POOLED = in_pools(SETTINGS)
HOUSED = housed()
POOLED_DECLARATION = Declaration.of(HOUSED, consumers=CONSUMERS)
POOLS: tuple[DeclaredPool, ...] = pools_of(POOLED, POOLED_DECLARATION)
