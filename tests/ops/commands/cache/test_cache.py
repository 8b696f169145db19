"""`ops cache`: what is listed, what is kept and what is deleted."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.cli import main
from ops.commands.cache.text import used_by
from ops.machine import build_cache
from ops.machine.build_cache import built_once
from ops.machine.build_lock import build_lock
from ops.machine.cache_entries import entries


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "llama-cpp-infra"


def build(target: Path) -> Path:
    def fill(fresh: Path) -> None:
        (fresh / "program").write_bytes(bytes(3 * 2**20))

    return built_once("it", target, ("program",), fill, say=print)


@contextmanager
def checkout(path: Path) -> Iterator[None]:
    """Build as another checkout does."""
    (path / "ops").mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_cache, "CHECKOUT", path)
        yield


def keys(cache: Path) -> set[str]:
    return {path.name for path in cache.glob("*/*") if path.is_dir() and path.name != "users"}


def test_the_list_says_who_uses_a_build(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(cache / "engine" / "old")
    build(cache / "engine" / "new")
    with checkout(tmp_path / "other"):
        build(cache / "engine" / "new")
        build(cache / "engine" / "theirs")
    assert {entry.key: used_by(entry) for entry in entries(cache)} == {
        "new": "this checkout",
        "old": "nobody",
        "theirs": "1 other checkout",
    }
    assert main(["cache"]) == 0
    assert f"9.0 MiB in {cache}, 3.0 MiB of it unused" in capsys.readouterr().out
    assert keys(cache) == {"new", "old", "theirs"}


def test_clean_deletes_what_no_checkout_uses_and_says_what_it_freed(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(cache / "engine" / "old")
    (cache / "engine" / "cut.work").mkdir()
    with checkout(tmp_path / "moved"):
        build(cache / "engine" / "moved")
    shutil.rmtree(tmp_path / "moved")
    build(cache / "engine" / "new")
    assert main(["cache", "--clean", "--yes"]) == 0
    assert keys(cache) == {"new"}
    shown = capsys.readouterr().out
    assert "deleted engine old, 3.0 MiB" in shown
    assert "freed 6.0 MiB" in shown
    assert main(["cache", "--clean", "--yes"]) == 0
    assert "every build is in use; nothing is deleted" in capsys.readouterr().out


def test_clean_asks_and_a_no_keeps_everything(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build(cache / "engine" / "old")
    build(cache / "engine" / "new")
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("typer.confirm", no)
    assert main(["cache", "--clean"]) == 0
    assert asked == ["Delete 1 unused builds, 3.0 MiB?"]
    assert keys(cache) == {"new", "old"}


def test_clean_keeps_what_a_build_in_progress_may_need(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(cache / "engine" / "old")
    build(cache / "engine" / "new")
    with build_lock(cache / "engine", "it", say=print):
        assert main(["cache", "--clean", "--yes"]) == 0
    assert keys(cache) == {"new", "old"}
    assert "kept engine old: a build is in progress" in capsys.readouterr().out


def test_clean_keeps_a_program_that_runs(cache: Path) -> None:
    target = build(cache / "engine" / "old")
    shutil.copy2(shutil.which("sleep") or "", target / "server")
    build(cache / "engine" / "new")
    server = subprocess.Popen([str(target / "server"), "60"])
    try:
        assert {entry.key: used_by(entry) for entry in entries(cache)}["old"] == (
            "a running program"
        )
        assert main(["cache", "--clean", "--yes"]) == 0
        assert keys(cache) == {"new", "old"}
    finally:
        server.kill()
        server.wait()
    assert main(["cache", "--clean", "--yes"]) == 0
    assert keys(cache) == {"new"}


def test_an_empty_cache_and_a_lone_yes(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    assert f"0 bytes in {cache}" in capsys.readouterr().out
    assert main(["cache", "--yes"]) == 2
    assert "--yes needs --clean" in capsys.readouterr().err
