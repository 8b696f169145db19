"""OpenTofu for machines without Terraform, built from tools/opentofu."""

from __future__ import annotations

from pathlib import Path

from ops.machine.build_cache import built_once, target_of, work_dir
from ops.machine.checkout import TOOLS
from ops.machine.go_build import go_install
from ops.report.terminal import Say

_MODULE = TOOLS / "opentofu"
_LINKER_FLAGS = "-s -w -X github.com/opentofu/opentofu/version.dev=no"
"""Without the last, OpenTofu calls itself a development version and prints a warning."""


def built() -> Path | None:
    """Return the program if the pinned version is in the cache, else None."""
    program = _target() / "tofu"
    return program if program.is_file() else None


def build(say: Say) -> Path:
    """Return the pinned version from the cache, after building it if it is missing.

    Args:
        say: Receives a line for the operator.

    Raises:
        OpsError: when the build fails, naming its log.
    """
    target = _target()

    def install(fresh: Path) -> None:
        say("building OpenTofu, because PATH has neither terraform nor tofu")
        say(f"once for all checkouts, into {target}")
        go_install(
            "OpenTofu", _MODULE, fresh,
            work=work_dir(target), flags=(f"-ldflags={_LINKER_FLAGS}",), say=say,
        )  # fmt: skip

    return built_once("OpenTofu", target, ("tofu",), install, say=say) / "tofu"


def _target() -> Path:
    pinned = (_MODULE / "go.mod").read_text() + (_MODULE / "go.sum").read_text() + _LINKER_FLAGS
    return target_of("opentofu", pinned)
