"""Tiny files under the names that `ops lock` looks for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from llama_swap_config.lock.locked import wanted_projector, wanted_weights
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
        for wanted in (wanted_weights(model), wanted_projector(model)):
            if wanted is None:
                continue
            title = re.sub("-GGUF$", "", wanted.repository.split("/")[1], flags=re.IGNORECASE)
            prefix = "mmproj-" if wanted.role == "mmproj" else ""
            name = wanted.file or f"{prefix}{title}-{wanted.quantisation}.gguf"
            path = folder / wanted.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if wanted.role == "mmproj":
                tiny_models.write_projector(path, path.name)
            else:
                tiny_models.write_weights(
                    path,
                    path.name,
                    vision=model.projector is not None,
                    train_context=_TRAIN_CONTEXT,
                    head_size=tiny_models.WIDE_HEAD_SIZE,
                )
            files[wanted.repository, name] = HubFile.of(path)
    return files
