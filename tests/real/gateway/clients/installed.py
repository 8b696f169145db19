"""The clients' libraries, as tools/clients pins them, installed once for all checkouts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.machine.build_cache import built_once, target_of, work_dir
from ops.machine.build_run import OfflineError, run_build
from ops.machine.checkout import TOOLS
from ops.machine.go_toolchain import go_toolchain
from ops.machine.node import npm_ci, npm_pins
from ops.machine.pypi_programs import install_environment

PINS = TOOLS / "clients"
_PYTHON = "bin/python"
_MODULES = "node_modules"
_NODE = f"{_MODULES}/openai/package.json"
_GO = "program"
_GO_MODULE = ("go.mod", "go.sum")


def python() -> Path:
    """Return a Python with the libraries; the test is skipped where no registry answers."""
    requirements = PINS / "requirements.txt"
    target = target_of("clients-python", f"{requirements.read_text()}{sys.version_info[:2]}")

    def install(fresh: Path) -> None:
        log = work_dir(target) / "install.log"
        install_environment("the Python clients", requirements, fresh, log=log, say=print)

    return _built("the Python clients", target, _PYTHON, install) / _PYTHON


def node_modules() -> Path:
    """Return the libraries for Node; the test is skipped where no registry answers."""
    target = target_of("clients-node", npm_pins(PINS))

    def install(fresh: Path) -> None:
        npm_ci("the Node clients", PINS, fresh, log=work_dir(target) / "npm.log", say=print)

    return _built("the Node clients", target, _NODE, install) / _MODULES


def go_program(source: str) -> Path:
    """Return a compiled Go program; the test is skipped where no registry answers.

    Args:
        source: The text of main.go.
    """
    go = go_toolchain(print)
    pins = "".join((PINS / name).read_text() for name in _GO_MODULE)
    target = target_of("clients-go", f"{pins}{source}")

    def build(fresh: Path) -> None:
        for name in _GO_MODULE:
            shutil.copy(PINS / name, fresh)
        (fresh / "main.go").write_text(source)
        run_build(
            "the Go client",
            [
                *(go, "build", "-o", _GO, "-mod=readonly", "-ldflags=-s -w"),
                # Optimising the library takes half of the time.
                "-gcflags=github.com/openai/openai-go/v3/...=-N -l -dwarf=false",
                "main.go",
            ],
            log=work_dir(target) / "build.log",
            progress=lambda _output: "compiling",
            say=print,
            env={"CGO_ENABLED": "0"},
            cwd=fresh,
        )

    return _built("the Go client", target, _GO, build) / _GO


def _built(name: str, target: Path, program: str, build: Callable[[Path], None]) -> Path:
    try:
        return built_once(name, target, (program,), build, say=print)
    except OfflineError as error:
        pytest.skip(str(error))
