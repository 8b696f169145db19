"""Programs that are built once on this machine and kept outside the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ops.errors import OpsError
from ops.report.terminal import Say


def cache_dir() -> Path:
    """Where builds are kept: `$XDG_CACHE_HOME/llama-cpp-infra`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "llama-cpp-infra"


def built_once(
    what: str,
    target: Path,
    programs: Iterable[str],
    build: Callable[[Path], None],
    *,
    say: Say,
) -> Path:
    """Find a directory of programs, or build it; two commands never build at once.

    Args:
        what: What is built, for messages.
        target: The directory, in the cache; its name changes with what goes into the build.
        programs: Names of files that have to be there.
        build: Fills an empty directory, which then becomes the target.
        say: Takes a line for the operator.

    Raises:
        OpsError: what `build` raises; the target is then not there.
    """
    names = tuple(programs)

    def complete() -> bool:
        return all((target / name).is_file() for name in names)

    if complete():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another command is building {what}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if complete():
            return target
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=target.parent, ignore_cleanup_errors=True) as folder:
            # Inside it, because a temporary directory is closed to everybody else.
            fresh = Path(folder) / "built"
            fresh.mkdir()
            build(fresh)
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)
        say(f"built in {time.monotonic() - started:.0f} s")
    return target


def run_build(
    what: str,
    command: Sequence[str],
    *,
    log: Path,
    progress: Callable[[str], str],
    say: Say,
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> None:
    """Run a build that takes minutes, and say every 15 s how far it is.

    Args:
        what: What is built, for messages.
        command: The program and its arguments.
        log: Takes its output.
        progress: Says from that output how far the build is.
        say: Takes a line for the operator.
        env: Added to the environment.
        cwd: Where it runs; left out: here.

    Raises:
        OpsError: when it fails; the message has its last lines and the log.
    """
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    seconds = time.monotonic() - started
                    say(f"  {seconds:4.0f} s, {progress(log.read_text(errors='replace'))}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        last = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        raise OpsError(f"{what} was not built ({last[-400:]}); whole log: {log}")
