"""On which cards models are: checked as declared, and proposed for those that do not fit there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.residency import NamedSets, Residency
from llama_swap_config.fit.vram import on_cards, resident
from llama_swap_config.lock.locked import LOCK_COMMAND, LockedModel
from llama_swap_config.model import Model

PROJECTOR_FOLLOWS = 11434
"""A build whose projector is on the first device of `--device`. 10524 places it on the first card
that the process sees (`clip_ctx`); builds between them are not known."""
_SELECTS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""Variables that change which cards llama-server sees, or their numbers."""
Cards = tuple[int, ...]


def check_cards(model: Model, count: int) -> None:
    """Check that a model names cards that the pod has.

    Args:
        model: The model.
        count: `gpu.count`.

    Raises:
        ConfigError: when it does not, or selects cards elsewhere too.
    """
    if max(model.cards) >= count:
        numbers = "card 0" if count == 1 else f"cards 0 to {count - 1}"
        raise model.error(
            "cards", model.cards, f"{numbers}, as gpu.count is {count}",
            "Correct it, or raise gpu.count in stacks/production.py",
        )  # fmt: skip
    for name in _SELECTS if count > 1 else ():
        if name in model.env:
            raise model.error(
                "env", name, "no variable that selects cards where gpu.count is more than 1",
                "Use cards",
            )  # fmt: skip


def check_projector_card(model: Model, engine_build: int) -> None:
    """Check that a projector is on its model's first card where llama-server sees all cards.

    Raises:
        ConfigError: when the engine would place it on another.
    """
    on_card = model.projector is not None and "--no-mmproj-offload" not in model.extra_args
    if on_card and model.cards[0] != 0 and engine_build < PROJECTOR_FOLLOWS:
        raise model.error(
            "cards", model.cards,
            f"card 0 first with the front end llama-server: llama.cpp b{engine_build} places "
            "every projector there",
            f"Use the front end llama-swap, or engine_build {PROJECTOR_FOLLOWS} or later",
        )  # fmt: skip


def more_cards(locked: LockedModel, machine: Machine, count: int) -> str:
    """Name the fewest cards over which a model would fit by layer; empty if there are none."""
    for size in range(len(locked.model.cards) + 1, count + 1):
        cards = tuple(range(size))
        found = _on(locked, cards, machine)
        if found is not None and max(found.values()) <= machine.card.free_mib:
            mib = " and ".join(f"{it:.0f}" for it in found.values())
            return f"cards={cards}, which would fit (about {mib} MiB; `{LOCK_COMMAND}` asks)"
    return ""


def proposed_cards(
    models: tuple[LockedModel, ...], residency: Residency, machine: Machine, count: int
) -> dict[str, Cards | None]:
    """Propose cards for the models that do not fit where they are declared.

    A model that fits keeps its cards. The others are placed by decreasing size, each on the first
    card, or else over the fewest cards, where it fits beside those placed before.

    Args:
        models: The locked registry.
        residency: The operator's choice; a named set has to fit as a whole.
        machine: The cards, which are alike, and the engine.
        count: How many there are.

    Returns:
        Id of each model that does not fit -> its cards; None: it fits nowhere.
    """
    groups = residency.sets if isinstance(residency, NamedSets) else ()
    placed: dict[str, Mapping[int, float]] = {}

    def fits(model_id: str, wanted: Mapping[int, float]) -> bool:
        beside = [[], *([it for it in ids if it in placed] for ids in groups if model_id in ids)]
        return all(
            mib + sum(placed[it].get(card, 0) for it in ids) <= machine.card.free_mib
            for ids in beside
            for card, mib in wanted.items()
        )

    homeless: list[LockedModel] = []
    for locked in models:
        declared = {card: it.total_mib for card, it in on_cards(locked, machine).items()}
        if max(declared) < count and fits(locked.model.id, declared):
            placed[locked.model.id] = declared
        else:
            homeless.append(locked)
    homeless.sort(key=lambda locked: -resident(locked, machine).total_mib)
    proposals: dict[str, Cards | None] = {}
    for locked in homeless:
        proposals[locked.model.id] = None
        for cards in card_choices(count):
            wanted = _on(locked, cards, machine)
            if wanted is not None and fits(locked.model.id, wanted):
                placed[locked.model.id] = wanted
                proposals[locked.model.id] = cards
                break
    return proposals


def card_choices(count: int) -> Iterator[Cards]:
    """Yield each choice of cards, the fewest first."""
    for size in range(1, count + 1):
        yield from itertools.combinations(range(count), size)


def moved_to(locked: LockedModel, cards: Cards) -> LockedModel:
    """Return a model on other cards, in equal shares."""
    return replace(locked, model=replace(locked.model, cards=cards, tensor_split=()))


def _on(locked: LockedModel, cards: Cards, machine: Machine) -> dict[int, float] | None:
    """Return MiB by card if a model were on these cards; None where nothing is known of that."""
    try:
        found = on_cards(moved_to(locked, cards), machine)
    except ConfigError:
        return None
    return {card: vram.total_mib for card, vram in found.items()}
