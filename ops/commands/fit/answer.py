"""What is known of a model's memory, and who said it."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.fit.vram import Source
from llama_swap_config.lock.locked import LockedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class LargestContext:
    """The largest context with which a model fits the card."""

    tokens: int | None
    """None: not even one image, or 256 tokens for each slot, fit."""
    source: Source
    """Who says so; `at most`: the engine's figures for other contexts, so it may be larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model with what is known of its memory."""

    locked: LockedModel
    asked: bool = False
    """Whether the engine was asked now, about the model's values."""
    not_asked: str = ""
    """Why the engine was not asked, though it could say more."""
    largest: LargestContext | None = None
    """None: nobody wanted it, or the engine refuses the model's values."""
