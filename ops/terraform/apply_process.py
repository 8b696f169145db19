"""Run an apply so that Terraform writes its state, whatever happens to this process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ops.errors import writing
from ops.machine.signals import ended_once

OUTPUT, ERRORS = "apply.log", "apply-errors.log"
"""Files in the stack's directory with what an apply prints, until one succeeds."""
_LOOK_EVERY_S = 0.05
_CHUNK_BYTES = 65536
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedApply:
    """How an apply ended."""

    returncode: int
    """Negative if a signal ended it."""
    errors: str
    """What it wrote to stderr, or else to stdout; without colours."""
    is_interrupted: bool
    """Whether a signal to this process interrupted it."""


def apply_to_its_end(
    command: Sequence[str],
    *,
    directory: Path,
    env: Mapping[str, str],
    note: str,
    quiet: bool = False,
    stdin: int | None = subprocess.DEVNULL,
) -> EndedApply:
    """Run an apply, and wait for its end.

    SIGINT, SIGTERM and SIGHUP reach it as one interrupt. If this process is killed, it continues.

    Args:
        command: Program and arguments.
        directory: The stack's, which gets the files `OUTPUT` and `ERRORS`.
        env: Its environment.
        note: Printed for each signal.
        quiet: Whether to hide what it prints (default: copy it to stdout and stderr).
        stdin: What it reads (default: nothing); None: what this process reads.

    Raises:
        OpsError: if the files cannot be written.
    """
    output, errors = directory / OUTPUT, directory / ERRORS
    sys.stdout.flush()
    # No pipes: Terraform would end by SIGPIPE without writing its state if we were killed.
    with _anew(output) as written, _anew(errors) as complaints, ended_once(note) as ending:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=env,
            stdin=stdin,
            stdout=written,
            stderr=complaints,
            # Only this process passes Ctrl-C on, and only once: at a second one Terraform ends
            # without writing its state.
            start_new_session=True,
        )
        progress = _Progress(written, shown=not quiet)
        while process.poll() is None and not ending.is_asked_for:
            time.sleep(_LOOK_EVERY_S)
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            process.wait()
        progress.finish()
        complaint = _read(complaints)
        said = _COLOUR.sub("", complaint or _read(written))
    if process.returncode == 0:
        output.unlink(missing_ok=True)
        errors.unlink(missing_ok=True)
    elif not quiet:
        with suppress(OSError):
            sys.stderr.write(complaint)
    return EndedApply(
        returncode=process.returncode, errors=said, is_interrupted=ending.is_asked_for
    )


def _anew(path: Path) -> BinaryIO:
    """Open a new file: an apply whose parent was killed may still write to the old one."""
    with writing(path):
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _read(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class _Progress:
    """Copies a growing file to stdout, in a thread: stdout may block, and signals may not wait."""

    def __init__(self, file: BinaryIO, *, shown: bool) -> None:
        self._file = file
        self._is_complete = threading.Event()
        self._thread = threading.Thread(target=self._copy) if shown else None
        if self._thread:
            self._thread.start()

    def finish(self) -> None:
        """Copy the rest of a file that no longer grows."""
        self._is_complete.set()
        if self._thread:
            self._thread.join()

    def _copy(self) -> None:
        copied = 0
        # The terminal or a reader may be gone; the apply continues.
        with suppress(OSError):
            while True:
                is_last = self._is_complete.is_set()
                while chunk := os.pread(self._file.fileno(), _CHUNK_BYTES, copied):
                    copied += os.write(1, chunk)
                if is_last:
                    return
                self._is_complete.wait(_LOOK_EVERY_S)
