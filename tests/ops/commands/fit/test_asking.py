"""What-ifs of `ops fit`: the engine answers where it is at hand, and the output says who did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config import registry
from llama_swap_config.fit.figures import memory_flags
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from ops.cli import main
from ops.commands.fit.asking import ask
from ops.commands.fit.what_if import WhatIf, assume
from ops.engine.at_hand import WithFigures
from ops.engine.promised import Promised
from ops.errors import OpsError
from ops.hub.local_hub import HubHandler
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import SETTINGS
from tests.llama_swap_config.fit.shapes import QWEN3VL_8B
from tests.ops.commands.lock.lock_runs import (
    TEXT,
    VISION,
    by_formula,
    lock,
    make_files,
    running,
    surroundings,
)

BUILT = "ops.engine.at_hand.llama_build.is_built"
PROMISED = "ops.engine.measure.promised"


class Engine:
    """An engine that says what the formulas say and, for each ten tokens, 1 MiB more."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, str]] = []

    def promised(
        self, programs: Path, model: Model, folder: Path, link: str, *, whole: bool = True
    ) -> tuple[Promised, ...]:
        self.asked.append((model.id, model.context, model.kv_cache_type_k))
        (said,) = by_formula(programs, model, folder, link, whole=whole)
        return (replace(said, kv_cache=said.kv_cache + model.context / 10),)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock with the formulas' figures; its headers are kept, the hub is gone."""
    path = tmp_path / "models.lock.json"
    surroundings(monkeypatch, tmp_path / "headers")
    with running(make_files(tmp_path / "hub"), HubHandler, monkeypatch):
        assert lock(path) == 0
    monkeypatch.setattr(BUILT, lambda _build: True)
    return path


@pytest.fixture
def engine(locked: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(PROMISED, engine.promised)
    return engine


def fit(path: Path, *words: str) -> int:
    return main(["fit", "--lock", str(path), *words])


def as_json(
    path: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run it; return the document and the vision model in it."""
    capsys.readouterr()
    fit(path, "--json", *words)
    document = json.loads(capsys.readouterr().out)
    (seeing,) = (model for model in document["models"] if model["id"] == VISION.id)
    return document, seeing


def test_values_that_the_lock_has_exactly_are_not_asked_again(
    locked: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ((), ("--context", str(VISION.context)), ("--usable-mib", "20000")):
        document, seeing = as_json(locked, capsys, *words)
        assert seeing["vram_source"] == "engine"
        assert document["notes"] == []
    assert engine.asked == []


def test_another_context_is_one_question(
    locked: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    before = locked.read_bytes()
    _, declared = as_json(locked, capsys)
    document, seeing = as_json(locked, capsys, "--model", VISION.id, "--context", "2000")
    assert engine.asked == [(VISION.id, 2000, "f16")]
    assert seeing["vram_source"] == "engine"
    assert 0 < seeing["vram_mib"]["kv_cache"] - 200 < declared["vram_mib"]["kv_cache"]
    assert document["notes"] == [f"{VISION.id}: by llama.cpp b10524, asked just now."]
    assert locked.read_bytes() == before


def test_another_cache_is_asked_for_every_model(
    locked: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    document, seeing = as_json(locked, capsys, "--kv", "bf16")
    assert {(model, kv) for model, _, kv in engine.asked} == {
        (VISION.id, "bf16"),
        (TEXT.id, "bf16"),
    }
    assert seeing["vram_source"] == "engine"
    assert seeing["vram_mib"]["kv_cache"] > VISION.context / 10
    assert document["notes"] == [f"{VISION.id}, {TEXT.id}: by llama.cpp b10524, asked just now."]


@pytest.mark.parametrize(
    ("words", "source"),
    [(("--context", "2000"), "at most"), (("--kv", "bf16"), "formula")],
)
@pytest.mark.parametrize("lacks", ["build", "headers"])
def test_without_the_engine_the_output_says_who_answered_and_why(
    locked: Path,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    source: str,
    lacks: str,
) -> None:
    if lacks == "build":
        monkeypatch.setattr(BUILT, lambda _build: False)
        reason = "llama.cpp b10524 is not built on this machine"
    else:
        monkeypatch.setattr("ops.engine.headers.headers_dir", lambda: tmp_path / "nothing")
        reason = "the headers are not in the cache of this machine"
    document, seeing = as_json(locked, capsys, "--model", VISION.id, *words)
    assert engine.asked == []
    assert (seeing["vram_source"], seeing["engine_not_asked"]) == (source, reason)
    first, second = document["notes"]
    assert first.startswith(f"{VISION.id}: {'by formula' if source == 'formula' else source}")
    assert second.startswith(f"The engine was not asked about {VISION.id}: {reason}. `python -m")
    assert fit(locked, "--model", VISION.id, *words) == 0
    assert second in capsys.readouterr().out


def test_a_model_without_figures_formula_or_engine_is_one_line(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(BUILT, lambda _build: False)
    monkeypatch.setattr("llama_swap_config.fit.vram.has_formula", lambda *_: False)
    assert fit(locked, "--kv", "bf16") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error == (
        f"error: model '{VISION.id}': the engine was not asked about these values: llama.cpp "
        "b10524 is not built on this machine, and there is no formula for qwen3vl. Set them in "
        "llama_swap_config/registry.py and run `python -m ops lock`"
    )


def test_a_context_that_no_engine_takes_is_the_budgets_error(
    locked: Path,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("llama_swap_config.fit.vram.has_formula", lambda *_: False)
    assert fit(locked, "--context", "100000") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "context is 100000; expected at most 4096: the model was trained for" in error
    assert engine.asked == []


def test_the_engines_refusal_is_one_line_that_names_the_model(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> Promised:
        raise OpsError("llama-server refuses it: unknown architecture")

    monkeypatch.setattr(PROMISED, refuse)
    assert fit(locked, "--kv", "bf16") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error == f"error: model '{VISION.id}': llama-server refuses it: unknown architecture"


def test_the_largest_context_is_found_with_the_engine(
    locked: Path,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, declared = as_json(locked, capsys)
    assert declared["largest_context"] is None
    # Room for 3500 tokens as the engine counts them.
    card = ("--usable-mib", str(round(declared["total_mib"]) + 350))
    words = ("--kv", "bf16", "--largest-context", *card)
    _, seeing = as_json(locked, capsys, *words)
    assert seeing["largest_context"] == {"tokens": 3328, "source": "engine"}
    assert fit(locked, *words) == 0
    assert re.search(r"seeing +3072 .* 3328 *$", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.setattr(BUILT, lambda _build: False)
    document, seeing = as_json(locked, capsys, *words, "--model", VISION.id)
    assert seeing["largest_context"] == {"tokens": 4096, "source": "formula"}
    assert f"Largest context of {VISION.id}: by formula." in document["notes"]


def test_the_largest_context_asks_no_more_than_it_has_to_and_changes_no_verdict(
    locked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine()
    monkeypatch.setattr(PROMISED, engine.promised)
    monkeypatch.setattr(registry, "REGISTRY", (replace(VISION, context=2000), TEXT))
    _, plain = as_json(locked, capsys)
    document, seeing = as_json(locked, capsys, "--largest-context")
    assert seeing["largest_context"] == {"tokens": 4096, "source": "engine"}
    assert engine.asked == []
    # The engine would make this exact; a synth does not ask it.
    assert plain["vram_source"] == seeing["vram_source"] == "at most"
    assert seeing["vram_mib"] == plain["vram_mib"]
    assert f"{VISION.id}: at most; the engine's figures for other" in document["notes"][1]
    monkeypatch.setattr(BUILT, lambda _build: False)
    document, seeing = as_json(locked, capsys, "--largest-context", "--model", VISION.id)
    assert seeing["largest_context"] == {"tokens": 4096, "source": "at most"}
    assert any(
        line.startswith(f"Largest context of {VISION.id}: at least;") for line in document["notes"]
    )


def test_the_largest_context_hides_no_figures_that_a_synth_lacks(
    locked: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(locked.read_text())
    for entry in document["models"].values():
        entry["memory"] = []
    locked.write_text(json.dumps(document))
    document, seeing = as_json(locked, capsys, "--largest-context")
    assert document["problem"].startswith(f"model '{VISION.id}': memory is 'not in the lock'")
    assert seeing["vram_source"] == "formula"
    assert seeing["largest_context"] == {"tokens": 4096, "source": "engine"}


def test_the_projector_is_estimated_after_the_engine_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its files are those of the lock, whose projector has 16 bits."""
    seen = []

    @contextmanager
    def at_hand(_locked: LockedModel, _build: int) -> Iterator[WithFigures]:
        def with_figures(locked: LockedModel) -> LockedModel:
            seen.append(locked.projector)
            measured = replace(before, flags=memory_flags(locked.model))
            return replace(locked, memory=(measured,))

        yield with_figures

    monkeypatch.setattr("ops.commands.fit.asking.engine_at_hand", at_hand)
    (before,) = QWEN3VL_8B.memory
    what_if = WhatIf(model=QWEN3VL_8B.model.id, kv_cache_type="bf16", projector="Q8_0")
    models, node = assume((QWEN3VL_8B,), SETTINGS.node, what_if, DECLARATION.lock)
    (answer,) = ask(models, node, what_if, largest=False)
    assert seen == [QWEN3VL_8B.projector]
    assert answer.asked
    (measured,) = answer.locked.memory
    assert 0 < measured.projector_mib < before.projector_mib
    assert measured.weights_mib == before.weights_mib


def test_no_context_fits_a_card_that_is_too_small(
    locked: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    _, seeing = as_json(locked, capsys, "--usable-mib", "100", "--largest-context")
    assert seeing["largest_context"] == {"tokens": None, "source": "engine"}
