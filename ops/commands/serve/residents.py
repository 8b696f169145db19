"""Which models a front end on this machine may hold together: those that production may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llama_swap_config.declaration import load
from llama_swap_config.fit.residency import ONE_RESIDENT, OneAtATime, Residents
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.lock.locked import LOCK_PATH
from stacks.settings import Settings


def production_residents(
    settings: Settings,
    front_end: FrontEndName,
    *,
    lock_path: Path = LOCK_PATH,
    say: Callable[[str], None],
) -> Residents:
    """Work out what the registry allows on production's card, whatever this machine has.

    Args:
        settings: Production's.
        front_end: What serves here. Another one than production's may not know its sets: then one
            model at a time.
        lock_path: Whose files are served; left out: the repository's lock.
        say: Takes a line for the operator.

    Raises:
        ConfigError: when registry, lock or residency do not hold together.
    """
    declaration = load(lock_path)
    if isinstance(declaration.residency, OneAtATime):
        return ONE_RESIDENT
    if front_end != settings.front_end:
        say(f"{front_end} holds one model at a time: production has {settings.front_end}")
        return ONE_RESIDENT
    return FRONT_ENDS[front_end].residents(
        declaration.locked, declaration.residency, settings.node.machine
    )
