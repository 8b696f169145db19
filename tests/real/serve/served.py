"""Tiny models behind a real front end while a test runs."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import READ_FROM_FILE, LockedFile, LockedModel, Role
from llama_swap_config.model import Model
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import Served
from ops.gguf import tiny_models
from ops.gguf.header import read_file_header

NO_LLAMA_SWAP = "llama-swap is not on PATH (no package registry has it)"


def skip_without(front_end: FrontEndName) -> None:
    if front_end == "llama-swap" and shutil.which("llama-swap") is None:
        pytest.skip(NO_LLAMA_SWAP)


def store_of(models: tuple[Model, ...], folder: Path) -> LocalStore:
    """Write tiny weights, and a projector if the model has one, where llama-server reads them."""
    locked = []
    for model in models:
        home = folder / "models" / model.id
        home.mkdir(parents=True)
        vision = model.projector is not None
        tiny_models.write_weights(home / "model.gguf", model.id, vision=vision)
        if vision:
            tiny_models.write_projector(home / "mmproj.gguf", model.id)
        locked.append(
            LockedModel(
                model=model,
                weights=(_locked(model, home / "model.gguf"),),
                projector=_locked(model, home / "mmproj.gguf") if vision else None,
            )
        )
    return LocalStore(
        volume=folder / "models",
        lock_path=folder / "models.lock.json",
        models=tuple(locked),
        random_weights=True,
    )


@contextmanager
def served(
    models: tuple[Model, ...],
    folder: Path,
    front_end: FrontEndName,
    *,
    settings: ServerSettings | None = None,
    device: str | None = None,
    api_key_env: tuple[str, ...] = (),
) -> Iterator[Served]:
    """Serve tiny models of these names while the context lasts.

    Args:
        models: The registry.
        folder: An empty directory.
        front_end: Which one; a test is skipped where it is not on this machine.
        settings: What every llama-server gets; left out: what production gets.
        device: Its device (default: it chooses).
        api_key_env: The variables of its API keys (default: none).
    """
    skip_without(front_end)
    store = store_of(models, folder)
    running = serve.start(
        store,
        folder,
        front_end=front_end,
        port=None,
        say=print,
        settings=settings,
        device=device,
        api_key_env=api_key_env,
    )
    try:
        yield running
    finally:
        serve.stop(folder)


def _locked(model: Model, path: Path) -> LockedFile:
    role: Role = "model" if path.name == "model.gguf" else "mmproj"
    return LockedFile(
        repository=model.repository,
        revision="main",
        name=path.name,
        role=role,
        quantisation=model.quantisation,
        size_bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        header=read_file_header(path, role),
        header_source=READ_FROM_FILE,
    )
