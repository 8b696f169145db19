"""load() reads the registry with its lock and runs every check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llama_swap_config import consumers, registry
from llama_swap_config.declaration import Declaration, load, load_registry
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.residency import NamedSets
from tests.declaration.consumers import CONSUMERS
from tests.declaration.frozen import DECLARATION
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS

PAIR = ("qwen3vl-8b", "qwen3vl-4b")


def declare(monkeypatch: pytest.MonkeyPatch, *models: object) -> None:
    monkeypatch.setattr(registry, "REGISTRY", models)
    monkeypatch.setattr(consumers, "CONSUMERS", ())
    monkeypatch.setattr(registry, "RESIDENCY", NamedSets(sets=(PAIR,)))


def test_load_reads_the_edited_registry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(monkeypatch, *REGISTRY[::-1])
    declaration = load()
    assert declaration.models == load_registry() == REGISTRY[::-1]
    assert declaration.locked == DECLARATION.locked[::-1]
    assert declaration.lock == DECLARATION.lock
    assert declaration.residents(SETTINGS.node).sets == (PAIR[::-1],)


def test_a_wrong_registry_is_refused_with_and_without_a_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declare(monkeypatch, REGISTRY[0], REGISTRY[0])
    for loading in (load, load_registry, lambda: load(tmp_path / "gone.json")):
        with pytest.raises(ConfigError, match=r"model 'qwen3vl-8b': id is 'qwen3vl-8b'; .*Rename"):
            loading()


def test_a_model_that_is_not_locked_loads_only_without_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renamed = replace(REGISTRY[0], id="renamed")
    declare(monkeypatch, renamed)
    assert load_registry() == (renamed,)
    with pytest.raises(ConfigError, match=r"model 'renamed' is not in models\.lock\.json"):
        load()


def test_residency_defaults_to_one_model_at_a_time() -> None:
    assert Declaration.of(REGISTRY, consumers=CONSUMERS) == DECLARATION
