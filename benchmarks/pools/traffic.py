"""The requests of each mix."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.pools.cell import Cell

REQUEST_S_PER_POOL = 10.0
"""Seconds between two requests for a pool, on average: none is overloaded by swaps alone."""
ANSWER_S = (1.0, 3.0)
"""An answer takes between these."""
_BURST, _BURST_GAP_S = 8, 0.5
_HOT_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of a client."""

    at_s: float
    model: str
    answer_s: float
    """Seconds that the model computes."""


def pool_names(count: int) -> tuple[str, ...]:
    """Return the names of so many pools."""
    return tuple(f"pool-{index}" for index in range(count))


def model_names(count: int) -> tuple[str, ...]:
    """Return the names of so many models."""
    return tuple(f"model-{index}" for index in range(count))


def traffic(cell: Cell) -> tuple[Request, ...]:
    """Return a cell's requests, in the order of their times.

    Steady: each is for a model at random. Bursty: eight at a time are for the same model, half a
    second apart, as from a program that works through an album. Hot: half of them are for the
    first model. Each mix has as many requests an hour.
    """
    chance = random.Random(f"{cell.seed} {cell.pools} {cell.models} {cell.mix}")
    asked = sorted(_asked(cell, chance))
    return tuple(
        Request(at_s=at_s, model=model, answer_s=chance.uniform(*ANSWER_S))
        for at_s, model in asked
    )


def _asked(cell: Cell, chance: random.Random) -> Iterator[tuple[float, str]]:
    models = model_names(cell.models)
    size = _BURST if cell.mix == "bursty" else 1
    at_s = 0.0
    for first in range(0, cell.requests, size):
        at_s += chance.expovariate(cell.pools / REQUEST_S_PER_POOL / size)
        is_hot = cell.mix == "hot" and chance.random() < _HOT_SHARE
        model = models[0] if is_hot else chance.choice(models)
        for index in range(min(size, cell.requests - first)):
            yield at_s + index * _BURST_GAP_S, model
