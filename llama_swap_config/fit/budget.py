"""The budget: whether a registry runs on this card, engine and node, checked before a merge."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.engine import check_engine
from llama_swap_config.fit.host import check_host
from llama_swap_config.fit.placement import check_cards, check_projector_card, more_cards
from llama_swap_config.fit.remedies import largest_context, smallest_changes
from llama_swap_config.fit.residency import Residency, Residents
from llama_swap_config.fit.vram import check_figures, on_cards
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.lock.locked import LockedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The node that runs the models."""

    card: Card
    """Each of its cards."""
    cards: int = 1
    """How many it has for the models."""
    engine_build: int
    """Build of llama.cpp in the image."""
    front_end: FrontEndName
    llama_swap: LlamaSwapSettings
    storage_size_gib: int
    memory_limit_gib: int

    @property
    def machine(self) -> Machine:
        """The card and the engine, on which a model's VRAM depends."""
        return Machine(card=self.card, engine_build=self.engine_build)


def check_budget(
    models: tuple[LockedModel, ...],
    residency: Residency,
    node: Node,
    *,
    formulas: bool = False,
) -> Residents:
    """Check that a registry runs, and compute which models may be resident together.

    Args:
        models: The locked registry.
        residency: The operator's choice.
        node: The node.
        formulas: Whether formulas may answer where the lock has no figures of the engine, as for
            a what-if (default: no).

    Raises:
        ConfigError: the first check that fails, with its numbers and a remedy.
    """
    for locked in models:
        check_alone(locked, node, formulas=formulas)
    return check_together(models, residency, node)


def check_alone(locked: LockedModel, node: Node, *, formulas: bool = False) -> None:
    """Check that a model runs on a node that serves nothing else.

    Args and raises: as `check_budget`.
    """
    check_cards(locked.model, node.cards)
    if not FRONT_ENDS[node.front_end].isolates:
        check_projector_card(locked.model, node.engine_build)
    check_engine(
        locked,
        engine_build=node.engine_build,
        gpu_layers=node.llama_swap.server.gpu_layers,
    )
    if not formulas:
        check_figures(locked, node.engine_build)
    check_fits_alone(locked, node.machine, cards=node.cards)


def check_together(models: tuple[LockedModel, ...], residency: Residency, node: Node) -> Residents:
    """Check models, each of which runs alone, with each other and with the host.

    Args and raises: as `check_budget`.
    """
    front_end = FRONT_ENDS[node.front_end]
    residents = front_end.residents(models, residency, node.machine)
    check_host(
        models,
        storage_size_gib=node.storage_size_gib,
        memory_limit_gib=node.memory_limit_gib,
        cache_ram_mib=node.llama_swap.server.cache_ram_mib,
        health_check_timeout_s=(
            node.llama_swap.health_check_timeout_s if front_end.ends_slow_loads else None
        ),
        together=residents.together,
    )
    return residents


def check_fits_alone(locked: LockedModel, machine: Machine, *, cards: int = 1) -> None:
    """Check that a model fits the free part of each of its cards.

    Args:
        locked: The model.
        machine: The cards, which are alike, and the engine.
        cards: How many there are (default: one).

    Raises:
        ConfigError: when it does not; with the largest context that fits, and whether a smaller
            projector or cache, or more cards, would do.
    """
    card, model = machine.card, locked.model
    found = on_cards(locked, machine)
    fullest = max(found, key=lambda number: found[number].total_mib)
    needed = found[fullest].total_mib
    if needed <= card.free_mib:
        return
    largest = largest_context(locked, machine)
    changes = (more_cards(locked, machine, cards), smallest_changes(locked, machine))
    use = ", or ".join(it for it in changes if it)
    up_to = "up to " if found[fullest].source == "at most" else ""
    share = card.share_of(fullest if cards > 1 else None)
    need = f"it needs {up_to}{needed:.0f} MiB, {needed - card.free_mib:.0f} more than {share}"
    if largest is None:
        expected = f"a model that fits: {need}"
        remedy = f"Use {use}" if use else "Choose a smaller quantisation or a larger card"
    else:
        expected = f"at most {largest}: {need}"
        remedy = f"Lower it, or use {use}" if use else "Lower it"
    raise model.error("context", model.context, expected, remedy)
