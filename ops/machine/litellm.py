"""LiteLLM for this machine, in an environment of its own, installed once for all checkouts."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.machine.build_cache import built_once, is_complete, target_of, work_dir
from ops.machine.checkout import TOOLS
from ops.machine.pypi_programs import install_environment
from ops.report.terminal import Say

_REQUIREMENTS = TOOLS / "litellm-requirements.txt"
_PROGRAM = "bin/litellm"
SIZE_MB = 680
"""On the disk, with the bytecode that the first start writes."""


def litellm(say: Say) -> Path:
    """Return LiteLLM's program from the cache, after installing it if it is missing.

    Args:
        say: Receives a line for the operator.

    Raises:
        OpsError: when the installation fails, naming its log.
    """
    target = _target()

    def install(fresh: Path) -> None:
        say(f"installing LiteLLM, {SIZE_MB} MB, once for all checkouts, into {target}")
        log = work_dir(target) / "install.log"
        install_environment("LiteLLM", _REQUIREMENTS, fresh, log=log, say=say)

    return built_once("LiteLLM", target, (_PROGRAM,), install, say=say) / _PROGRAM


def is_installed() -> bool:
    """Whether LiteLLM is in the cache."""
    return is_complete(_target(), (_PROGRAM,))


def _target() -> Path:
    return target_of("litellm", f"{_REQUIREMENTS.read_text()}{sys.version_info[:2]}")


def litellm_version() -> str:
    """Return the pinned version."""
    lines = _REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith("litellm=="))
