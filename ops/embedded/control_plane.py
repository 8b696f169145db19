"""Build the programs of the control plane from tools/go.mod."""

from __future__ import annotations

import re
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, is_complete, target_of, work_dir
from ops.machine.checkout import TOOLS
from ops.machine.go_build import go_install
from ops.report.terminal import Say

PROGRAMS = ("server", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""`server` is etcd, by the name of the command in its module."""


def binaries(say: Say) -> Path:
    """Return the directory of PROGRAMS; build them if they are missing.

    Args:
        say: Receives a line for the operator.

    Raises:
        OpsError: when the build fails, naming its log.
    """
    target, flags = _target()

    def build(fresh: Path) -> None:
        say("building etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok")
        say(f"once for all checkouts, into {target}")
        go_install(
            "the control plane", TOOLS, fresh,
            work=work_dir(target), flags=(f"-ldflags={flags}",), say=say,
        )  # fmt: skip

    return built_once("the control plane", target, PROGRAMS, build, say=say)


def is_built() -> bool:
    """Whether PROGRAMS are in the cache."""
    target, _ = _target()
    return is_complete(target, PROGRAMS)


def _target() -> tuple[Path, str]:
    """The directory of PROGRAMS, and the linker flags of their build."""
    module = (TOOLS / "go.mod").read_text()
    flags = _linker_flags(module)
    pinned = f"{module}{(TOOLS / 'go.sum').read_text()}{flags}"
    return target_of("control-plane", pinned), flags


def _linker_flags(module: str) -> str:
    """Return linker flags that omit debug symbols and set the API server's version.

    Without a version the API server reports 0.0.0, and Terraform's provider creates no service
    account: it waits for the Secret that Kubernetes created with each account before 1.24.
    """
    version = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", module, re.MULTILINE)
    if version is None:
        raise OpsError("tools/go.mod does not require k8s.io/kubernetes; restore it from git")
    return f"-s -w -X k8s.io/component-base/version.gitVersion={version.group(1)}"
