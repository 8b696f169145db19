"""The Node of this checkout, and the packages of tools/package-lock.json."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from ops.machine.build_cache import built_once, is_complete, target_of, work_dir
from ops.machine.build_run import run_build
from ops.machine.checkout import TOOLS
from ops.report.terminal import Say

CDKTF = Path("node_modules/.bin/cdktf")
"""The program in the directory of the packages."""
_BIN = Path(sys.executable).parent
_FILES = ("package.json", "package-lock.json", ".npmrc")


def node_path() -> str:
    """PATH with this Python and its Node first: jsii and cdktf-cli start both."""
    return os.pathsep.join((str(_BIN), os.environ.get("PATH", "")))


def packages_installed() -> Path | None:
    """Return the directory of the pinned packages if it is in the cache, else None."""
    target = _target()
    return target if is_complete(target, (str(CDKTF),)) else None


def install_packages(say: Say) -> Path:
    """Return the directory of the pinned packages, after installing them if they are missing.

    Args:
        say: Receives a line for the operator.

    Raises:
        OpsError: when npm fails, naming its log.
    """
    target = _target()

    def install(fresh: Path) -> None:
        say("installing cdktf-cli and what it needs, 430 MB, with npm")
        say(f"once for all checkouts, into {target}")
        npm_ci("cdktf-cli", TOOLS, fresh, log=work_dir(target) / "npm.log", say=say)

    return built_once("cdktf-cli", target, (str(CDKTF),), install, say=say)


def npm_ci(name: str, pins: Path, into: Path, *, log: Path, say: Say) -> None:
    """Install the packages of a lock file.

    Args:
        name: The packages in messages.
        pins: The directory of package.json, package-lock.json and .npmrc.
        into: Receives node_modules.
        log: File for npm's output.
        say: Prints a line.

    Raises:
        OpsError: when npm fails, naming its log.
    """
    for file in _FILES:
        shutil.copy(pins / file, into)
    lock = json.loads((pins / "package-lock.json").read_text(encoding="utf-8"))
    total = sum(
        1
        for path, package in lock["packages"].items()
        if path and not package.get("optional") and not package.get("inBundle")
    )
    node = _BIN / "node"
    # Not .venv/bin/npm, which would leave npm running when it is ended.
    npm = node.resolve().parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    run_build(
        name,
        # Its defaults wait for a minute where no registry answers.
        [str(node), str(npm), "ci", "--loglevel=http",
         "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000"],
        log=log,
        progress=lambda output: f"{min(output.count('.tgz '), total)} of {total} packages",
        say=say,
        env={"PATH": node_path()},
        cwd=into,
    )  # fmt: skip


def npm_pins(pins: Path) -> str:
    """Return what an installation from a directory depends on."""
    return "".join((pins / name).read_text() for name in _FILES)


def _target() -> Path:
    return target_of("cdktf-cli", npm_pins(TOOLS))
