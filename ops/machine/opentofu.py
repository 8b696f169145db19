"""OpenTofu for machines without Terraform, built from tools/opentofu."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ops.machine.build_cache import built_once, cache_dir, run_build
from ops.machine.checkout import TOOLS
from ops.machine.go_toolchain import go_toolchain
from ops.report.terminal import Say

_MODULE = TOOLS / "opentofu"
_LINKER_FLAGS = "-s -w -X github.com/opentofu/opentofu/version.dev=no"
"""Without the last, OpenTofu calls itself a development version and prints a warning."""
_PACKAGES = 1765
"""`go list -deps github.com/opentofu/opentofu/cmd/tofu | wc -l` of the pinned version."""


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
        go = go_toolchain(say)
        say("building OpenTofu, because PATH has neither terraform nor tofu")
        say(f"once for all checkouts, into {target}; about 4 minutes on 2 cores")
        run_build(
            "OpenTofu",
            [go, "install", "-v", f"-ldflags={_LINKER_FLAGS}", "tool"],
            log=target.parent / "build.log",
            progress=_progress,
            say=say,
            env={"GOBIN": str(fresh), "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
            cwd=_MODULE,
        )

    return built_once("OpenTofu", target, ("tofu",), install, say=say) / "tofu"


def _target() -> Path:
    pinned = (_MODULE / "go.mod").read_text() + (_MODULE / "go.sum").read_text() + _LINKER_FLAGS
    return cache_dir() / "opentofu" / hashlib.sha256(pinned.encode()).hexdigest()[:16]


def _progress(output: str) -> str:
    compiled = [line for line in output.splitlines() if not line.startswith("go: ")]
    return f"{len(compiled)} of at most {_PACKAGES} packages"
