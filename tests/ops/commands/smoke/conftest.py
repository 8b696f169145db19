"""`smoke` checks a fake endpoint against the frozen registry and settings."""

from __future__ import annotations

import pytest

from ops.commands.smoke import model_checks
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS


@pytest.fixture(autouse=True)
def frozen_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", REGISTRY)
    monkeypatch.setattr("stacks.production.PRODUCTION", SETTINGS)


@pytest.fixture(autouse=True)
def no_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


@pytest.fixture(autouse=True)
def no_pause_after_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_checks, "_AFTER_STREAM_S", 0)
