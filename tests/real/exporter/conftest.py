"""Front ends for the exporter's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.endpoint.api_key import KEY_VARIABLE


@pytest.fixture(autouse=True)
def no_key(llama_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve without a key, with the real llama-server."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
