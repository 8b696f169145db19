"""`ops lock` with tiny models on a hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llama_swap_config import registry
from llama_swap_config.lock.file import read_lock, render_lock, write_lock
from llama_swap_config.lock.locked import LOCK_PATH, READ_FROM_FILE, LockEntry, lock_models
from ops.gguf import tiny_models
from ops.gguf.header import read_file_header
from ops.hub.local_hub import HubFile, HubHandler, LocalHub
from stacks import production
from tests.ops.commands.lock.lock_runs import (
    FIRST,
    SECOND,
    TEXT,
    VISION,
    Files,
    Noted,
    lock,
    make_files,
    running,
    surroundings,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    surroundings(monkeypatch, tmp_path / "headers")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.lock.json"


@pytest.fixture
def hub(files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    Noted.requests.clear()
    with running(files, Noted, monkeypatch) as hub:
        yield hub


def test_lock_writes_files_commits_and_headers(hub: LocalHub, files: Files, path: Path) -> None:
    assert lock(path) == 0
    found = read_lock(path)
    assert list(found) == ["reading", "seeing"]
    weights, projector = found["seeing"].files
    on_disk = files[VISION.repository, "Seeing-Q4_K_M.gguf"]
    assert (weights.name, weights.role, weights.revision) == ("Seeing-Q4_K_M.gguf", "model", FIRST)
    assert weights.sha256 == on_disk.sha256
    assert weights.size_bytes == on_disk.path.stat().st_size
    assert weights.header == read_file_header(on_disk.path, "model")
    assert weights.header_source == READ_FROM_FILE
    assert (projector.name, projector.quantisation) == ("mmproj-Seeing-F16.gguf", "F16")
    assert [file.name for file in found["reading"].files] == ["gguf/reading.q8-0.gguf"]
    lock_models((VISION, TEXT), found)


def test_lock_requests_only_headers(hub: LocalHub, path: Path) -> None:
    assert lock(path, "--model", "seeing") == 0
    described, *parts = Noted.requests
    assert described[0] == "/api/models/owner/seeing-GGUF/revision/main?blobs=true"
    assert [asked for asked, _ in parts] == [
        f"/owner/seeing-GGUF/resolve/{FIRST}/Seeing-Q4_K_M.gguf",
        f"/owner/seeing-GGUF/resolve/{FIRST}/mmproj-Seeing-F16.gguf",
    ]
    assert all("Range" in headers for _, headers in parts)


def test_locked_models_stay_unchanged_without_a_request(
    hub: LocalHub, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    before = path.read_bytes()
    Noted.requests.clear()
    hub.commit = SECOND
    capsys.readouterr()
    assert lock(path) == 0
    assert "has the files of all 2 models; nothing to do" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert not Noted.requests


def test_another_quantisation_keeps_the_commit(
    hub: LocalHub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock(path) == 0
    hub.commit = SECOND
    monkeypatch.setattr(registry, "REGISTRY", (replace(VISION, quantisation="Q8_0"), TEXT))
    assert lock(path) == 0
    weights, projector = read_lock(path)["seeing"].files
    assert weights.name == "Seeing-Q8_0.gguf"
    assert {weights.revision, projector.revision} == {FIRST}


def test_update_moves_the_commit_and_shows_the_changes(
    hub: LocalHub, files: Files, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    before = path.read_bytes()
    old = files[VISION.repository, "Seeing-Q4_K_M.gguf"]
    new = tmp_path / "Seeing-Q4_K_M.gguf"
    tiny_models.write_weights(new, "other", vision=False)
    hub.files[VISION.repository, "Seeing-Q4_K_M.gguf"] = HubFile.of(new)
    hub.commit = SECOND
    capsys.readouterr()
    assert lock(path, "--update", "--model", "seeing", "--dry-run") == 0
    assert path.read_bytes() == before
    assert "--dry-run" in capsys.readouterr().out
    assert lock(path, "--update", "--model", "seeing") == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "seeing (changed)" in output
    assert f"commit {FIRST[:16]} -> {SECOND[:16]}" in output
    assert f"sha256 {old.sha256[:16]} -> {HubFile.of(new).sha256[:16]}" in output
    assert "model architecture qwen3vl -> qwen3" in output
    assert "layers" not in output
    assert "reading" not in output
    found = read_lock(path)
    assert found["seeing"].files[0].revision == SECOND
    assert found["reading"].files[0].revision == FIRST


def test_memory_is_one_row_a_build_with_the_total_at_the_declared_context(
    hub: LocalHub, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    (measured,) = read_lock(path)["seeing"].memory
    capsys.readouterr()
    monkeypatch.setattr(registry, "REGISTRY", (replace(VISION, context=2048), TEXT))
    assert lock(path, "--dry-run") == 0
    output = " ".join(capsys.readouterr().out.split())
    fixed = measured.weights_mib + measured.projector_mib + measured.vision_compute_mib
    (at,) = (at for at in measured.contexts if at.context == VISION.context)
    before = f"{fixed + at.kv_cache_mib + at.compute_mib:.2f} MiB and CUDA's own, at 3,072 tokens"
    assert f"seeing (changed) memory b10524 {before} -> " in output
    assert "MiB and CUDA's own, at 2,048 tokens" in output
    assert output.count("memory b") == 1
    assert "reading" not in output
    engine = replace(production.PRODUCTION, engine_build=11434)
    monkeypatch.setattr(production, "PRODUCTION", engine)
    assert lock(path, "--dry-run") == 0
    output = capsys.readouterr().out
    assert output.count("memory b11434") == 2
    assert "memory b10524" not in output


def test_update_of_all_models_drops_unused_entries(
    hub: LocalHub,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lock(path) == 0
    monkeypatch.setattr(registry, "REGISTRY", (TEXT,))
    assert lock(path) == 0
    assert "model 'seeing' is locked but not in the registry" in capsys.readouterr().out
    assert "seeing" in read_lock(path)
    assert lock(path, "--update") == 0
    assert "seeing (removed)" in capsys.readouterr().out
    assert list(read_lock(path)) == ["reading"]


def checked(path: Path, capsys: pytest.CaptureFixture[str], code: int) -> str:
    capsys.readouterr()
    assert lock(path, "--check") == code
    told = capsys.readouterr()
    if code:
        assert told.err.startswith("error: ")
        assert "Run `python -m ops lock`" in told.err
        assert told.err.count("\n") == 1
    return told.out


def test_check_shows_where_registry_and_lock_differ(
    hub: LocalHub,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "model 'seeing' is not in models.lock.json" in checked(path, capsys, 1)
    assert lock(path) == 0
    Noted.requests.clear()
    assert "registry and lock agree on 2 models" in checked(path, capsys, 0)
    for changed, message in (
        (
            replace(VISION, quantisation="Q8_0"),
            "quantisation is 'Q8_0'; expected exactly one model",
        ),
        (replace(VISION, projector="Q8_0"), "projector is 'Q8_0'"),
        (replace(VISION, repository="owner/other"), "repository is 'owner/other'"),
        (replace(VISION, id="other"), "model 'other' is not in"),
    ):
        monkeypatch.setattr(registry, "REGISTRY", (changed, TEXT))
        assert message in checked(path, capsys, 1)
    for same in (replace(VISION, context=2048), replace(VISION, ttl_s=60)):
        monkeypatch.setattr(registry, "REGISTRY", (same, TEXT))
        checked(path, capsys, 0)
    unseeing = replace(VISION, projector=None, image_max_tokens=None)
    monkeypatch.setattr(registry, "REGISTRY", (unseeing,))
    output = checked(path, capsys, 1)
    assert "model 'seeing': memory is 'not in the lock'" in output
    assert "seeing: mmproj-Seeing-F16.gguf is locked" in output
    assert "model 'reading' is locked" in output
    assert not Noted.requests


def test_the_repositorys_own_lock_agrees_with_its_registry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    assert "agree" in checked(LOCK_PATH, capsys, 0)
    assert render_lock(read_lock()) == LOCK_PATH.read_text()


def test_a_lock_of_version_1_is_locked_again_at_its_commits(
    hub: LocalHub, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    text = path.read_text()
    document = json.loads(text)
    document["version"] = 1
    for entry in document["models"].values():
        for file in entry["files"]:
            del file["header"], file["source"]
    path.write_text(json.dumps(document))
    assert "is locked in version 1; expected 3" in checked(path, capsys, 1)
    old = path.read_bytes()
    assert lock(path, "--model", "seeing") == 1
    assert "'reading' is locked in version 1" in capsys.readouterr().err
    assert path.read_bytes() == old
    hub.commit = SECOND
    assert lock(path) == 0
    assert path.read_text() == text


def test_an_invalid_entry_is_kept_if_the_hub_fails(
    hub: LocalHub, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    document = json.loads(path.read_text())
    del document["models"]["seeing"]["files"][0]["sha256"]
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert lock(path) == 1
    assert "no answer from 127.0.0.1" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_newer_lock_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text('{"version": 4, "models": {}}')
    assert lock(path) == 1
    assert "version is 4; expected 1 to 3" in capsys.readouterr().err


def test_a_model_that_cannot_be_locked_does_not_stop_the_others(
    hub: LocalHub,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lock(path) == 0
    seeing = read_lock(path)["seeing"].files
    for key in [key for key in hub.files if key[0] == VISION.repository]:
        del hub.files[key]
    hub.commit = SECOND
    assert lock(path, "--update") == 1
    output = capsys.readouterr().err
    assert "model 'seeing': owner/seeing-GGUF at main: the hub answers 404" in output
    assert "Unchanged in the lock: seeing." in output
    found = read_lock(path)
    assert found["seeing"].files == seeing
    assert found["reading"].files[0].revision == SECOND


def test_the_token_does_not_follow_a_redirect(
    hub: LocalHub,
    files: Files,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Redirecting(HubHandler):
        tokens: ClassVar[list[str]] = []

        def answer(self, *, body: bool) -> None:
            self.tokens.append(self.headers.get("Authorization", ""))
            if "/resolve/" in self.path:
                self.refuse(302, Location=hub.url.replace("127.0.0.1", "localhost") + self.path)
            else:
                super().answer(body=body)

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with running(files, Redirecting, monkeypatch):
        assert lock(path) == 0
    assert set(Redirecting.tokens) == {"Bearer hf_secret"}
    assert Noted.requests
    assert not any("Authorization" in headers for _, headers in Noted.requests)
    told = capsys.readouterr()
    assert "hf_secret" not in told.out + told.err


def test_equal_runs_write_equal_bytes(hub: LocalHub, path: Path) -> None:
    assert lock(path) == 0
    first = path.read_bytes()
    path.unlink()
    assert lock(path, "--model", "reading") == 0
    assert lock(path, "--model", "seeing") == 0
    assert path.read_bytes() == first
    assert first.endswith(b"}\n")


def test_a_lock_that_cannot_be_written_stays_unchanged(
    hub: LocalHub, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path, "--model", "reading") == 0
    before = path.read_bytes()

    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    capsys.readouterr()
    assert lock(path) == 1
    assert "models.lock.json cannot be written (No space" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.glob("*models*")] == [path.name]


def test_write_lock_refuses_an_invalid_lock(path: Path) -> None:
    (entry, *_) = read_lock().values()
    wrong = LockEntry(files=(replace(entry.files[0], name="../x.gguf"), *entry.files[1:]))
    with pytest.raises(Exception, match=r"name is '\.\./x\.gguf'"):
        write_lock(path, {"m": wrong})
    assert not path.exists()


def test_wrong_usage_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, message in (
        (("--model", "nobody"), "--model is 'nobody'; expected one of seeing, reading"),
        (("--check", "--update"), "--check cannot be combined"),
        (("--file", "x.gguf"), "--file is a field of the registry now; set file or projector_fi"),
    ):
        assert lock(path, *options) == 2
        assert message in capsys.readouterr().err
