"""Which models an engine is asked about, and several of them at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.vram import check_figures, resident
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.lock.stand_in import is_stand_in
from ops.errors import OpsError

Answer = TypeVar("Answer")
_MOST_AT_ONCE = 4
"""Engines at a time: each takes one core and half a gigabyte."""


def figures_problem(locked: LockedModel, engine_build: int) -> str:
    """Why the engine has to be asked about a model; empty if the lock covers it."""
    try:
        check_figures(locked, engine_build)
    except ConfigError as error:
        return str(error)
    return ""


def wants_figures(locked: LockedModel, machine: Machine) -> bool:
    """Whether an engine could say more than the lock: nothing, or only another context."""
    if is_stand_in(locked.files):
        return False
    if figures_problem(locked, machine.engine_build):
        return True
    return resident(locked, machine).source != "engine"


def ask_each(
    models: Sequence[LockedModel], ask: Callable[[LockedModel], Answer]
) -> tuple[dict[str, Answer], dict[str, str]]:
    """Ask about each model, several at a time.

    Args:
        models: The models.
        ask: Returns the answer for one of them, in a thread of its own.

    Returns:
        Model id -> the answer; model id -> why there is none.
    """
    answers: dict[str, Answer] = {}
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=min(_MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
        asked = {locked.model.id: pool.submit(ask, locked) for locked in models}
        for model_id, answer in asked.items():
            try:
                answers[model_id] = answer.result()
            except OpsError as error:
                failures[model_id] = f"model {model_id!r}: {error}"
    return answers, failures
