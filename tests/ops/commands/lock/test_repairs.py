"""`ops lock` on a lock that synth refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.hub.local_hub import HubHandler, LocalHub
from tests.ops.commands.lock.lock_runs import lock, make_files, running, surroundings


@pytest.fixture
def hub(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalHub]:
    files = make_files(tmp_path_factory.mktemp("hub"))
    surroundings(monkeypatch, tmp_path_factory.mktemp("headers"))
    with running(files, HubHandler, monkeypatch) as hub:
        yield hub


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.lock.json"


def test_an_invalid_entry_of_an_unknown_model_fails_check_and_is_dropped(
    hub: LocalHub, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    good = path.read_text()
    document = json.loads(good)
    document["models"]["gone"] = {"repository": "a/b", "revision": "main", "files": []}
    path.write_text(json.dumps(document))
    assert lock(path, "--check") == 1
    assert "model 'gone'" in capsys.readouterr().err
    assert lock(path) == 0
    assert "dropped the invalid entry of model 'gone'" in capsys.readouterr().out
    assert path.read_text() == good


def test_contradicting_entries_fail_check_and_lock(
    hub: LocalHub, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    document = json.loads(path.read_text())
    twin = json.loads(json.dumps(document["models"]["reading"]))
    twin["files"][0]["size_bytes"] += 1
    document["models"]["twin"] = twin
    path.write_text(json.dumps(document))
    for options in (("--check",), ()):
        assert lock(path, *options) == 1
        assert "size_bytes" in capsys.readouterr().err


def test_update_shows_a_projector_that_it_drops(
    hub: LocalHub, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    good = path.read_text()
    document = json.loads(good)
    second = {
        **document["models"]["seeing"]["files"][1],
        "quantisation": "Q8_0",
        "sha256": "a" * 64,
    }
    second["name"] = "mmproj-Seeing-Q8_0.gguf"
    document["models"]["seeing"]["files"].append(second)
    path.write_text(json.dumps(document))
    capsys.readouterr()
    assert lock(path, "--update", "--model", "seeing") == 0
    assert "mmproj-Seeing-Q8_0.gguf" in capsys.readouterr().out
    assert path.read_text() == good
