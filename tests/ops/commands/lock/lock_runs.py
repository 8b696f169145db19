"""A small registry and a hub with its files, for the tests of `ops lock`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from in_pod.download.contract import LINK_NAMES
from llama_swap_config import consumers, registry
from llama_swap_config.fit.vram import predict
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.model import Model
from ops.cli import main
from ops.engine.promised import Promised
from ops.gguf import tiny_models
from ops.gguf.header import read_file_header, read_header
from ops.gguf.table import FileSource
from ops.hub.local_hub import HubFile, HubHandler, LocalHub
from tests.declaration.settings import SETTINGS

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


def only_the_registry(monkeypatch: pytest.MonkeyPatch, headers: Path) -> None:
    """Use the small registry, which no consumer asks, without a token and with own headers."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(registry, "REGISTRY", (VISION, TEXT))
    monkeypatch.setattr(consumers, "CONSUMERS", ())
    monkeypatch.setattr("ops.engine.headers.headers_dir", lambda: headers)


def surroundings(monkeypatch: pytest.MonkeyPatch, headers: Path) -> None:
    """Use the small registry, and formulas in the engine's place, which tests/real/lock asks."""
    only_the_registry(monkeypatch, headers)
    monkeypatch.setattr("ops.commands.lock.measuring.llama_build.built", lambda *_: Path())
    monkeypatch.setattr("ops.engine.measure.promised", by_formula)


def by_formula(
    _programs: Path, model: Model, folder: Path, link: str, *, whole: bool = True
) -> tuple[Promised, ...]:
    parts = sorted(folder.glob("model*.gguf"))
    assert parts[0].name == link
    first, *others = (FileSource(path=path) for path in parts)
    weights = read_header(first, "model", parts=others)
    projector = None
    if model.projector is not None:
        projector = read_file_header(folder / LINK_NAMES["mmproj"], "mmproj")
    assert isinstance(weights, WeightsHeader)
    assert projector is None or isinstance(projector, ProjectorHeader)
    vram = predict(model, weights, projector, SETTINGS.node.machine)
    said = Promised(
        weights=round(vram.weights, 2) if whole else None,
        kv_cache=round(vram.kv_cache, 2),
        compute=round(vram.compute, 2),
        projector=round(vram.projector + vram.vision_compute, 2) if whole else 0,
    )
    return (said,)


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
