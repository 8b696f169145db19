"""The exporter's plan, JSON: the names that it may show, and what the models take of the card."""

from __future__ import annotations

import hashlib
import json

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.vram import resident
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.lock.locked import LockedModel


def render_exporter_plan(
    models: tuple[LockedModel, ...],
    *,
    front_end: FrontEndName,
    config: str,
    machine: Machine | None,
) -> str:
    """Render the plan, with the models in the registry's order.

    Args:
        models: The locked registry.
        front_end: The front end to follow.
        config: Text of its configuration.
        machine: The card and the engine; None where neither is known, so that nothing is
            predicted.

    Returns:
        JSON, byte-stable for equal arguments.
    """
    document = {
        "version": 1,
        "front_end": front_end,
        "engine_build": 0 if machine is None else machine.engine_build,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "models": [
            {
                "id": locked.model.id,
                "aliases": locked.model.aliases,
                "vram_mib": None
                if machine is None
                else round(resident(locked, machine).total_mib, 1),
            }
            for locked in models
        ],
    }
    return json.dumps(document, indent=2) + "\n"
