"""Tiny files under the names that `ops lock` looks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llama_swap_config.model import Model
from ops.gguf import tiny_models
from ops.hub.local_hub import HubFile

_TRAIN_CONTEXT = 2**20
"""Tokens; above any context that a registry declares."""


def write_tiny_files(models: Iterable[Model], folder: Path) -> dict[tuple[str, str], HubFile]:
    """Write weights and projector for each model, the same in each run.

    Args:
        models: The registry.
        folder: An empty directory.

    Returns:
        (repository, file name) -> the file, as the local hub offers them.
    """
    files: dict[tuple[str, str], HubFile] = {}
    for model in models:
        owner, name = model.repository.split("/")
        title = name.removesuffix("-GGUF").removesuffix("-gguf")
        directory = folder / owner / name
        directory.mkdir(parents=True, exist_ok=True)
        weights = directory / f"{title}-{model.quantisation}.gguf"
        tiny_models.write_weights(
            weights,
            weights.name,
            vision=model.projector is not None,
            train_context=_TRAIN_CONTEXT,
            head_size=tiny_models.WIDE_HEAD_SIZE,
        )
        files[model.repository, weights.name] = HubFile.of(weights)
        if model.projector is not None:
            projector = directory / f"mmproj-{title}-{model.projector}.gguf"
            tiny_models.write_projector(projector, projector.name)
            files[model.repository, projector.name] = HubFile.of(projector)
    return files
