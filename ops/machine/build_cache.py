"""Programs that are built once for all checkouts of this machine."""

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
    """Directory of the builds: `$XDG_CACHE_HOME/llama-cpp-infra`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "llama-cpp-infra"


def built_once(
    name: str,
    target: Path,
    programs: Iterable[str],
    build: Callable[[Path], None],
    *,
    say: Say,
) -> Path:
    """Return a directory of programs, after building it if it is incomplete, under a lock.

    Args:
        name: The build in messages.
        target: The directory in the cache; its name changes with the inputs of the build.
        programs: Names of the required files.
        build: Fills an empty directory, which then becomes the target.
        say: Prints a line.

    Raises:
        OpsError: from `build`; the target does not exist then.
    """
    required = tuple(programs)

    def complete() -> bool:
        return all((target / program).is_file() for program in required)

    if complete():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command that builds {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if complete():
            return target
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=target.parent, ignore_cleanup_errors=True) as folder:
            # A subdirectory, because other users cannot read a temporary directory.
            fresh = Path(folder) / "built"
            fresh.mkdir()
            build(fresh)
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)
        say(f"built in {time.monotonic() - started:.0f} s")
    return target


def run_build(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    progress: Callable[[str], str],
    say: Say,
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> None:
    """Run a build of several minutes, and print its progress every 15 s.

    Args:
        name: The build in messages.
        command: The program and its arguments.
        log: File for its output.
        progress: Extracts the progress from that output.
        say: Prints a line.
        env: Added to the environment.
        cwd: Working directory (default: the present one).

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
        raise OpsError(f"the build of {name} failed ({last[-400:]}). See {log}.")
