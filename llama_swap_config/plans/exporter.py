"""The exporter's plan, JSON: the names that it may show, and what the models take of the card."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.vram import on_cards
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.lock.locked import LockedModel


def render_exporter_plan(
    models: tuple[LockedModel, ...],
    *,
    front_end: FrontEndName,
    config: str,
    machine: Machine | None,
    cards: int = 1,
) -> str:
    """Render the plan, with the models in the registry's order.

    Args:
        models: The locked registry.
        front_end: The front end to follow.
        config: Text of its configuration.
        machine: The card and the engine; None where neither is known, so that nothing is
            predicted.
        cards: How many cards the models have (default: one).

    Returns:
        JSON, byte-stable for equal arguments.
    """
    document: dict[str, Any] = {
        "version": 1,
        "front_end": front_end,
        "engine_build": 0 if machine is None else machine.engine_build,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "models": [
            {
                "id": locked.model.id,
                "aliases": locked.model.aliases,
                **_predicted(locked, machine, by_card=cards > 1),
            }
            for locked in models
        ],
        **({"cards": cards} if cards > 1 else {}),
    }
    return json.dumps(document, indent=2) + "\n"


def _predicted(locked: LockedModel, machine: Machine | None, *, by_card: bool) -> dict[str, Any]:
    if machine is None:
        return {"vram_mib": None}
    mib = {card: vram.total_mib for card, vram in on_cards(locked, machine).items()}
    parts = {str(card): round(part, 1) for card, part in mib.items()}
    return {
        "vram_mib": round(sum(mib.values()), 1),
        **({"vram_mib_by_card": parts} if by_card else {}),
    }
