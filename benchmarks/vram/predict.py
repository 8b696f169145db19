"""The prediction for local files, in the terms of the engine's log."""

from __future__ import annotations

from pathlib import Path

from benchmarks.vram.engine import Reserved
from in_pod.download.contract import LINK_NAMES
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.vram import predict
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.model import Model
from ops.gguf.header import read_file_header


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
    weights = read_file_header(folder / LINK_NAMES["model"], "model")
    projector = None
    if model.projector is not None:
        projector = read_file_header(folder / LINK_NAMES["mmproj"], "mmproj")
    assert isinstance(weights, WeightsHeader)
    assert projector is None or isinstance(projector, ProjectorHeader)
    machine = Machine(card=Card(product="Tesla-T4"), engine_build=engine_build)
    vram = predict(model, weights, projector, machine)
    return Reserved(
        weights=vram.weights,
        kv_cache=vram.kv_cache,
        compute=vram.compute,
        projector=vram.projector,
        vision_compute=vram.vision_compute,
    )
