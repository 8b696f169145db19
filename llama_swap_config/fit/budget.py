"""The budget: whether a registry runs on this card, engine and node, known before the merge."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.engine import check_engine
from llama_swap_config.fit.host import check_host
from llama_swap_config.fit.remedies import largest_context, ways_out
from llama_swap_config.fit.residency import Residency, Residents
from llama_swap_config.fit.vram import resident
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.lock.locked import LockedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the models have to run on."""

    card: Card
    engine_build: int
    """The build of llama.cpp in the image."""
    front_end: FrontEndName
    llama_swap: LlamaSwapSettings
    storage_size_gib: int
    memory_limit_gib: int

    @property
    def machine(self) -> Machine:
        """What a model's memory depends on."""
        return Machine(card=self.card, engine_build=self.engine_build)


def check_budget(models: tuple[LockedModel, ...], residency: Residency, node: Node) -> Residents:
    """Refuse a registry that does not run, and work out what may be resident together.

    Args:
        models: The locked registry.
        residency: The operator's choice.
        node: What there is.

    Raises:
        ConfigError: the first thing that does not hold, with its numbers and a way out.
    """
    for locked in models:
        check_engine(
            locked,
            engine_build=node.engine_build,
            gpu_layers=node.llama_swap.server.gpu_layers,
        )
        check_fits_alone(locked, node.machine)
    front_end = FRONT_ENDS[node.front_end]
    found = front_end.residents(models, residency, node.machine)
    check_host(
        models,
        storage_size_gib=node.storage_size_gib,
        memory_limit_gib=node.memory_limit_gib,
        cache_ram_mib=node.llama_swap.server.cache_ram_mib,
        health_check_timeout_s=(
            node.llama_swap.health_check_timeout_s if front_end.ends_slow_loads else None
        ),
        together=found.together,
    )
    return found


def check_fits_alone(locked: LockedModel, machine: Machine) -> None:
    """Refuse a model that what is free of the card cannot hold.

    Raises:
        ConfigError: with the largest context that fits, and whether a smaller projector or cache
            would do instead.
    """
    card = machine.card
    needed = resident(locked, machine).total_mib
    if needed <= card.free_mib:
        return
    model = locked.model
    most = largest_context(model, locked.weights_header, locked.projector_header, machine)
    ways = ways_out(locked, machine)
    short = f"it needs {needed:.0f} MiB, {needed - card.free_mib:.0f} more than {card.share}"
    if most is None:
        allowed = f"none with these files: {short}"
        remedy = ways or "choose a smaller quantisation or a larger card"
    else:
        allowed = f"at most {most}; {short}"
        remedy = f"lower it, or {ways}" if ways else "lower it"
    raise model.error("context", model.context, allowed, remedy)
