"""Commands of this repository as they are printed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ops.options import EMBEDDED, embedded_command
from ops.report.ops_command import here, ops_command


def test_a_command_names_the_python_that_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert ops_command("plan") == ".venv/bin/python -m ops plan"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "executable", "/home/a b/.venv/bin/python")
    assert ops_command("plan") == "'/home/a b/.venv/bin/python' -m ops plan"


def test_a_command_of_another_directory_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    other = f"--state-dir {here(tmp_path)}"
    assert embedded_command("down", tmp_path) == f"/venv/bin/python -m ops down {other}"
    assert embedded_command("down", EMBEDDED) == "make down"
    assert embedded_command("env", EMBEDDED) == "/venv/bin/python -m ops env"
