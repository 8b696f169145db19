"""`ops fit` asks a real llama-server about values that the lock has no figures for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config import registry
from llama_swap_config.fit.vram import resident
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import lock_model
from llama_swap_config.model import Model
from ops.cli import main
from ops.gguf import tiny_models
from ops.hub.local_hub import HubFile, HubHandler
from ops.machine.llama_build import BUILD
from stacks import production
from tests.ops.commands.lock.lock_runs import (
    TEXT,
    VISION,
    lock,
    make_files,
    only_the_registry,
    running,
)

LONG = replace(TEXT, id="long", repository="owner/long")
"""Trained for a context whose cache is larger than a rounding."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lock of the engine's own figures; the hub answers as long as it takes to write it."""
    settings = replace(production.PRODUCTION, engine_build=BUILD)
    monkeypatch.setattr(production, "PRODUCTION", settings)
    files = make_files(tmp_path)
    weights = tmp_path / "long-Q8_0.gguf"
    tiny_models.write_weights(weights, "long", vision=False, train_context=2**18)
    files[LONG.repository, weights.name] = HubFile.of(weights)
    path = tmp_path / "models.lock.json"
    only_the_registry(monkeypatch, tmp_path / "headers")
    with running(files, HubHandler, monkeypatch):
        monkeypatch.setattr(registry, "REGISTRY", (VISION, LONG))
        assert lock(path) == 0
        yield path


def found(path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["fit", "--lock", str(path), "--json", *words])
    models = json.loads(capsys.readouterr().out)["models"]
    return {model["id"]: model for model in models}


def total_mib(path: Path, model: Model) -> float:
    machine = production.PRODUCTION.node.machine
    vram = resident(lock_model(model, read_lock(path)[model.id]), machine)
    assert vram.source == "engine"
    return round(vram.total_mib, 2)


def test_a_what_if_has_the_figures_that_the_next_lock_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = path.read_bytes()
    for words, changes in (
        (("--context", "2000"), {"context": 2000}),
        (("--kv", "bf16"), {"kv_cache_type_k": "bf16", "kv_cache_type_v": "bf16"}),
    ):
        assumed = found(path, capsys, *words)
        assert path.read_bytes() == before
        models = tuple(replace(model, **changes) for model in (VISION, LONG))
        monkeypatch.setattr(registry, "REGISTRY", models)
        assert lock(path) == 0
        for model in models:
            assert assumed[model.id]["vram_source"] == "engine"
            assert assumed[model.id]["total_mib"] == total_mib(path, model)
        path.write_bytes(before)
        monkeypatch.setattr(registry, "REGISTRY", (VISION, LONG))


def test_the_next_larger_context_does_not_fit(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free_mib = round(total_mib(path, LONG)) + 20
    card = ("--model", LONG.id, "--usable-mib", str(free_mib))
    largest = found(path, capsys, *card, "--largest-context")[LONG.id]["largest_context"]
    assert largest["source"] == "engine"
    assert LONG.context < largest["tokens"] < 2**18
    for tokens, fits in ((largest["tokens"], True), (largest["tokens"] + 256, False)):
        model = found(path, capsys, *card, "--context", str(tokens))[LONG.id]
        assert model["vram_source"] == "engine"
        assert (model["total_mib"] <= free_mib) is fits
