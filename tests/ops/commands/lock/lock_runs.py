"""A small registry and a hub with its files, for the tests of `ops lock`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from llama_swap_config import registry
from llama_swap_config.model import Model
from ops.cli import main
from ops.gguf import tiny_models
from ops.hub.local_hub import HubFile, HubHandler, LocalHub

VISION = Model(id="seeing", repository="owner/seeing-GGUF", quantisation="Q4_K_M")
TEXT = Model(
    id="reading", repository="owner/reading", quantisation="Q8_0", projector=None,
    image_max_tokens=None,
)  # fmt: skip
FIRST = "1" * 40
SECOND = "2" * 40

Files = dict[tuple[str, str], HubFile]


def make_files(folder: Path) -> Files:
    """Make the hub's files: those of the registry and others."""
    files: Files = {}
    for repository, name in (
        (VISION.repository, "Seeing-Q4_K_M.gguf"),
        (VISION.repository, "Seeing-Q8_0.gguf"),
        (VISION.repository, "mmproj-Seeing-F16.gguf"),
        (VISION.repository, "mmproj-Seeing-Q8_0.gguf"),
        (VISION.repository, "README.md"),
        (TEXT.repository, "gguf/reading.q8-0.gguf"),
    ):
        path = folder / repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "README.md":
            path.write_text("Q4_K_M")
        elif "mmproj" in name:
            tiny_models.write_projector(path, name)
        else:
            tiny_models.write_weights(path, name, vision=repository == VISION.repository)
        files[repository, name] = HubFile.of(path)
    return files


def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the small registry, without a token."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(registry, "REGISTRY", (VISION, TEXT))


class Noted(HubHandler):
    """Records the requests."""

    requests: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def answer(self, *, body: bool) -> None:
        self.requests.append((self.path, dict(self.headers.items())))
        super().answer(body=body)


@contextmanager
def running(
    files: Files, handler: type[HubHandler], monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalHub]:
    with LocalHub(files, handler) as hub:
        hub.commit = FIRST
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def lock(path: Path, *options: str) -> int:
    return main(["lock", "--path", str(path), *options])
