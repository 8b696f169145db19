"""The plan: the files to read, in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file in its model's folder."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with its files."""

    id: str
    files: tuple[File, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


def read_plan(path: Path) -> tuple[Model, ...]:
    """Read the plan: the models in the order of warming."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Model(id=model["id"], files=tuple(File(**file) for file in model["files"]))
        for model in document["models"]
    )
