"""The API keys of a front end on this machine: declared, generated once, never shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.commands.serve.served_keys import ServedKey, served_keys
from ops.errors import OpsError


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLAMA_API_KEY", "KEY_GATEWAY", "KEY_BATCH"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_declared_key_nothing_is_written(tmp_path: Path) -> None:
    assert served_keys((), tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_declared_key_is_generated_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    (first,) = served_keys(("KEY_GATEWAY",), tmp_path)
    (again,) = served_keys(("KEY_GATEWAY",), tmp_path)
    assert first.file is not None
    assert first.file.stat().st_mode & 0o777 == 0o600
    assert first.file.parent.stat().st_mode & 0o777 == 0o700
    assert len(first.read()) >= 32
    assert again.read() == first.read()


def test_each_declared_variable_has_its_own_key(tmp_path: Path) -> None:
    gateway, batch = served_keys(("KEY_GATEWAY", "KEY_BATCH"), tmp_path)
    assert gateway.read() != batch.read()


def test_set_variable_is_the_key_and_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_GATEWAY", "s3cret")
    (key,) = served_keys(("KEY_GATEWAY",), tmp_path)
    assert key.read() == "s3cret"
    assert list(tmp_path.iterdir()) == []


def test_llama_api_key_is_added_to_the_declared_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "mine")
    variables = [key.variable for key in served_keys(("KEY_GATEWAY",), tmp_path)]
    assert variables == ["LLAMA_API_KEY", "KEY_GATEWAY"]
    assert [key.variable for key in served_keys(("LLAMA_API_KEY",), tmp_path)] == ["LLAMA_API_KEY"]


@pytest.mark.parametrize("value", ["k3y,two", '"k3y', "k3y two", "k3y\n", "\u00e4"])
def test_key_that_cannot_be_sent_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("KEY_GATEWAY", value)
    (key,) = served_keys(("KEY_GATEWAY",), tmp_path)
    with pytest.raises(OpsError, match=r"^KEY_GATEWAY contains a comma") as caught:
        key.read()
    assert value not in str(caught.value)


@pytest.mark.parametrize("file", [None, Path("gone")])
def test_missing_key_names_its_place(tmp_path: Path, file: Path | None) -> None:
    key = ServedKey(variable="KEY_GATEWAY", file=file and tmp_path / file)
    with pytest.raises(OpsError, match="is empty; expected the API key"):
        key.read()


@pytest.mark.parametrize("generated", [True, False])
def test_shell_expression_reads_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generated: bool
) -> None:
    if not generated:
        monkeypatch.setenv("KEY_GATEWAY", "s3cret")
    (key,) = served_keys(("KEY_GATEWAY",), tmp_path / "a 'folder'")
    assert key.read() not in key.in_shell + repr(key)
    shell = subprocess.run(
        ["sh", "-c", f'printf %s "{key.in_shell}"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == key.read()
