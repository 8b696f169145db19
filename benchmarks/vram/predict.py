"""The prediction for local files, in the terms of the engine's log."""

from __future__ import annotations

from pathlib import Path

from benchmarks.vram.engine import Reserved
from benchmarks.vram.locked import locked_of
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.vram import resident
from llama_swap_config.model import Model


def predicted(model: Model, folder: Path, engine_build: int) -> Reserved:
    """Predict from the headers of a model's files what llama-server reserves.

    Args:
        model: Its settings.
        folder: Holds `model.gguf` and, where the model has a projector, `mmproj.gguf`.
        engine_build: The build of llama.cpp.

    Raises:
        GgufError: when a file cannot be read.
        ConfigError: for a model without a formula.
    """
    machine = Machine(card=Card(product="Tesla-T4"), engine_build=engine_build)
    return Reserved.of(resident(locked_of(model, folder), machine))
