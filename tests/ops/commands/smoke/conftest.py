"""`smoke` checks a fake endpoint without a key of this machine, and without its pauses."""

from __future__ import annotations

import pytest

from ops.commands.smoke import model_checks


@pytest.fixture(autouse=True)
def no_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


@pytest.fixture(autouse=True)
def no_pause_after_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_checks, "_AFTER_STREAM_S", 0)
