"""The clients' libraries, as tools/clients pins them, installed once for all checkouts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.machine.build_cache import built_once, target_of, work_dir
from ops.machine.build_run import OfflineError
from ops.machine.checkout import TOOLS
from ops.machine.go_toolchain import go_toolchain
from ops.machine.node import npm_ci, npm_pins
from ops.machine.pypi_programs import install_environment

PINS = TOOLS / "clients"
_PYTHON = "bin/python"
_NODE = "node_modules/openai/package.json"


def python() -> Path:
    """Return a Python with the libraries; the test is skipped where no registry answers."""
    requirements = PINS / "requirements.txt"
    target = target_of("clients-python", f"{requirements.read_text()}{sys.version_info[:2]}")

    def install(fresh: Path) -> None:
        log = work_dir(target) / "install.log"
        install_environment("the Python clients", requirements, fresh, log=log, say=print)

    try:
        return built_once("the Python clients", target, (_PYTHON,), install, say=print) / _PYTHON
    except OfflineError as error:
        pytest.skip(str(error))


def node_modules() -> Path:
    """Return the libraries for Node; the test is skipped where no registry answers."""
    target = target_of("clients-node", npm_pins(PINS))

    def install(fresh: Path) -> None:
        npm_ci("the Node clients", PINS, fresh, log=work_dir(target) / "npm.log", say=print)

    try:
        return built_once("the Node clients", target, (_NODE,), install, say=print).joinpath(
            "node_modules"
        )
    except OfflineError as error:
        pytest.skip(str(error))


def go_program(source: str, folder: Path) -> Path:
    """Compile a Go program with the library; Go's cache keeps what it compiled before.

    Args:
        source: The text of main.go.
        folder: Receives it, its module and the program.
    """
    for name in ("go.mod", "go.sum"):
        shutil.copy(PINS / name, folder)
    (folder / "main.go").write_text(source)
    built = subprocess.run(
        [
            *(go_toolchain(print), "build", "-o", "program", "-mod=readonly"),
            # Optimising the library takes half of the time.
            "-gcflags=github.com/openai/openai-go/v3/...=-N -l -dwarf=false",
            *("-ldflags=-s -w", "main.go"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if "dial tcp" in built.stderr:
        pytest.skip(f"the Go client cannot be downloaded ({built.stderr.splitlines()[-1]})")
    assert built.returncode == 0, built.stderr
    return folder / "program"
