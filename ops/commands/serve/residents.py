"""Which models a front end on this machine may hold together: those that production may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llama_swap_config.checks import check_registry
from llama_swap_config.fit.residency import ONE_RESIDENT, OneAtATime, Residents, residents
from llama_swap_config.front_ends.front_end import FrontEnd
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LOCK_PATH, lock_models
from llama_swap_config.registry import REGISTRY, RESIDENCY
from stacks.settings import PRODUCTION


def production_residents(
    front_end: FrontEnd, *, lock_path: Path = LOCK_PATH, say: Callable[[str], None]
) -> Residents:
    """Work out what the registry allows on production's card, whatever this machine has.

    Args:
        front_end: What serves here. Another one than production's may not know its sets: then one
            model at a time.
        lock_path: Whose files are served; left out: the repository's lock.
        say: Takes a line for the operator.

    Raises:
        ConfigError: when registry, lock or residency do not hold together.
    """
    if isinstance(RESIDENCY, OneAtATime):
        return ONE_RESIDENT
    if front_end != PRODUCTION.front_end:
        say(f"{front_end} holds one model at a time: production has {PRODUCTION.front_end}")
        return ONE_RESIDENT
    locked = lock_models(check_registry(REGISTRY), read_lock(lock_path))
    return residents(front_end, locked, RESIDENCY, PRODUCTION.node.machine)
