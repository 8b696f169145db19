"""Tiny vision models on the disk, as the download leaves them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from llama_swap_config.lock.locked import READ_FROM_FILE, LockedFile, LockedModel, Role
from llama_swap_config.model import Model
from ops.commands.serve.local_store import LocalStore
from ops.gguf import tiny_models
from ops.gguf.header import read_file_header

MODELS = ("tiny-a", "tiny-b")
"""They differ in nothing but their random weights."""


def make_store(folder: Path, names: Sequence[str] = MODELS) -> LocalStore:
    """Write models of these names into an empty folder (default: both)."""
    locked = []
    for name in names:
        home = folder / name
        home.mkdir(parents=True)
        tiny_models.write_weights(home / "model.gguf", name)
        tiny_models.write_projector(home / "mmproj.gguf", name)
        locked.append(
            LockedModel(
                model=Model(id=name, repository=f"bench/{name}", quantisation="F32"),
                weights=(_locked(home / "model.gguf", "model"),),
                projector=_locked(home / "mmproj.gguf", "mmproj"),
            )
        )
    return LocalStore(
        volume=folder,
        lock_path=folder / "models.lock.json",
        models=tuple(locked),
        random_weights=True,
    )


def _locked(path: Path, role: Role) -> LockedFile:
    return LockedFile(
        role=role,
        repository=f"bench/{path.parent.name}",
        revision="main",
        name=path.name,
        quantisation="F32",
        size_bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        header=read_file_header(path, role),
        header_source=READ_FROM_FILE,
    )
