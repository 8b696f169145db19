"""A model's folder as another Job leaves it: real files, and links to them."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.in_pod.download.volume import Source

NAMES = {"model.gguf": "Tiny-Q4_K_M.gguf", "mmproj.gguf": "mmproj-Tiny-F16.gguf"}
"""Name at the hub -> name in the folder."""


def fill(source: Source, folder: Path) -> Path:
    """Fill a folder; the front end of that setup loads `model.gguf` and `mmproj.gguf`."""
    folder.mkdir(parents=True)
    for (_, name), file in source.files.items():
        shutil.copyfile(file.path, folder / NAMES[name])
        (folder / name).symlink_to(NAMES[name])
    return folder


def serves(source: Source, folder: Path) -> bool:
    """Whether the front end of that setup finds the right bytes, by both kinds of names."""
    return all(
        (folder / link).is_file() and (folder / link).read_bytes() == file.path.read_bytes()
        for (_, name), file in source.files.items()
        for link in (name, NAMES[name])
    )
