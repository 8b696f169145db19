"""The tests of `smoke` ask the fake endpoint about the frozen registry."""

from __future__ import annotations

import pytest

from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", REGISTRY)
    monkeypatch.setattr("stacks.production.PRODUCTION", SETTINGS)
