"""One call loads the registry with its lock, and leaves no check out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llama_swap_config import registry
from llama_swap_config.declaration import Declaration, load, load_registry
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.residency import NamedSets
from tests.declaration.frozen import DECLARATION, LOCK_PATH
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS

PAIR = ("qwen3vl-8b", "qwen3vl-4b")


def declare(monkeypatch: pytest.MonkeyPatch, *models: object) -> None:
    monkeypatch.setattr(registry, "REGISTRY", models)
    monkeypatch.setattr(registry, "RESIDENCY", NamedSets(sets=(PAIR,)))


def test_the_file_that_an_operator_edits_is_what_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(monkeypatch, *REGISTRY[::-1])
    found = load(LOCK_PATH)
    assert found.models == load_registry() == REGISTRY[::-1]
    assert found.locked == DECLARATION.locked[::-1]
    assert found.lock == DECLARATION.lock
    assert found.residents(SETTINGS.node).sets == (PAIR[::-1],)


def test_a_registry_that_is_wrong_is_refused_with_and_without_a_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declare(monkeypatch, REGISTRY[0], REGISTRY[0])
    for loading in (load, load_registry, lambda: load(tmp_path / "gone.json")):
        with pytest.raises(ConfigError, match=r"model 'qwen3vl-8b': id is 'qwen3vl-8b'; .*rename"):
            loading()


def test_a_registry_that_the_lock_does_not_cover_is_loaded_without_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renamed = replace(REGISTRY[0], id="renamed")
    declare(monkeypatch, renamed)
    assert load_registry() == (renamed,)
    with pytest.raises(ConfigError, match=r"model 'renamed': is not in models\.lock\.json"):
        load(LOCK_PATH)


def test_one_model_at_a_time_unless_it_is_said() -> None:
    assert Declaration.of(REGISTRY, lock_path=LOCK_PATH) == DECLARATION
