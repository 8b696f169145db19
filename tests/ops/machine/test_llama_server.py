"""Finding llama-server on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine import llama_server


@pytest.fixture(autouse=True)
def empty_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """No llama-server on PATH."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("LLAMA_SERVER", raising=False)


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    return path


def test_the_variable_wins_over_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path / "mine" / "my-server")
    on_path = program(tmp_path / "bin" / "llama-server")
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    assert llama_server.llama_server(print) == on_path
    monkeypatch.setenv("LLAMA_SERVER", str(named))
    assert llama_server.llama_server(print) == named


@pytest.mark.parametrize("value", ["/nowhere/llama-server", "/etc/passwd", "no-such-program"])
def test_a_variable_that_is_not_a_program_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_SERVER", value)
    with pytest.raises(OpsError, match=rf"LLAMA_SERVER is '{value}'; expected a program"):
        llama_server.llama_server(print)
