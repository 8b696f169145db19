"""The control plane's programs, built from tools/go.mod."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ops.build_cache import built_once, cache_dir, run_build
from ops.go_toolchain import TOOLS, go_toolchain
from ops.terminal import Say

PROGRAMS = ("server", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""`server` is etcd: its module calls the command so."""


def binaries(say: Say) -> Path:
    """Find the programs, or build them.

    Args:
        say: Takes a line for the operator.

    Returns:
        The directory that holds all of PROGRAMS.

    Raises:
        OpsError: when they cannot be built; the message names the log.
    """
    pinned = (TOOLS / "go.mod").read_bytes() + (TOOLS / "go.sum").read_bytes()
    target = cache_dir() / "control-plane" / hashlib.sha256(pinned).hexdigest()[:16]

    def build(fresh: Path) -> None:
        go = go_toolchain(say)
        say("building etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok")
        say(f"once, for all checkouts, into {target}: about 5 minutes on 2 cores")
        run_build(
            "the control plane",
            [go, "install", "-v", "-ldflags=-s -w", "tool"],
            log=target.parent / "build.log",
            progress=lambda output: f"{output.count(chr(10))} packages",
            say=say,
            env={"GOBIN": str(fresh), "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
            cwd=TOOLS,
        )

    return built_once("the control plane", target, PROGRAMS, build, say=say)
