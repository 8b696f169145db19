"""Run a program of a build, with its progress, and say in one line why it failed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.errors import OpsError, one_line
from ops.machine.build_display import Count
from ops.machine.build_lock import held
from ops.machine.builds import sharing
from ops.machine.parent import ended_with_this
from ops.report.terminal import Say

_POLL_S = 1.0
_STOP_S = 5.0
_LOW_MIB = 16
_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_FULL_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OFFLINE = re.compile(
    r"(?:dial tcp|no such host|Failed to establish a new connection|Temporary failure in name"
    r"|Name or service not known|Network is unreachable|[Cc]onnection refused|i/o timeout"
    r"|error sending request|dns error|ConnectTimeout|ReadTimeout|attempt \d failed with [A-Z_]+)"
    r"[^\n'\"]*"
)
"""How Go, pip, uv and npm say that nobody answers, and what they add: address and reason."""


class OfflineError(OpsError):
    """No package registry answers."""


class BuildFailedError(OpsError):
    """The compiler refused the sources, which is neither the disk's nor the network's fault."""


def run_build(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    progress: Callable[[str], Count | str],
    say: Say,
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> None:
    """Run a program of a build, and show its progress.

    Args:
        name: The build in messages.
        command: The program and its arguments.
        log: File for its output.
        progress: Extracts the progress from that output.
        say: Prints a line.
        env: Added to the environment.
        cwd: Working directory (default: the present one).

    Raises:
        OpsError: when the disk is full.
        OfflineError: when no package registry answers.
        BuildFailedError: when it fails otherwise; the message has its last lines and the log.
    """
    with (
        full_disk_is_an_error(name, log.parent),
        sharing(say) as shared,
        shared.display.build(name) as show,
        log.open("wb") as output,
    ):
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=held(),
        )
        try:
            with ended_with_this(process.pid):
                while process.poll() is None:
                    try:
                        process.wait(timeout=_POLL_S)
                    except subprocess.TimeoutExpired:
                        shared.check()
                        shared.jobs.balance()
                        show(progress(log.read_text(errors="replace")))
        finally:
            _stop(process)
    if process.returncode:
        raise _failure(name, log)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        # Ninja then ends its compilers and deletes what they wrote half.
        process.terminate()
        try:
            process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def full_disk_is_an_error(name: str, folder: Path) -> Iterator[None]:
    """Convert the errors of a full disk.

    Args:
        name: The build in messages.
        folder: A directory on that disk.

    Raises:
        OpsError: for such an error within the context.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL_CODES:
            raise
        raise _full_disk(name, folder) from error


def _full_disk(name: str, folder: Path) -> OpsError:
    return OpsError(
        f"the disk of {folder} is full ({_free_mib(folder)} MiB free), so {name} was not built. "
        "Free space and run the command again; it resumes the build."
    )


def _free_mib(folder: Path) -> int:
    return shutil.disk_usage(folder).free // 2**20


def _failure(name: str, log: Path) -> OpsError:
    output = log.read_text(errors="replace").strip()
    # A full disk may have cut the log, too.
    if _FULL.search(output) or _free_mib(log.parent) < _LOW_MIB:
        return _full_disk(name, log.parent)
    offline = _OFFLINE.search(output)
    if offline:
        return OfflineError(
            f"no package registry answers ({one_line(offline.group(), limit=200)}), so {name} was "
            "not built. Check the network, then run the command again."
        )
    last = " | ".join(output.splitlines()[-3:])
    return BuildFailedError(f"the build of {name} failed ({last[-400:]}). See {log}.")
