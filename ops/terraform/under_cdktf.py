"""What cdktf-cli runs in Terraform's place.

cdktf-cli runs an apply in a terminal of its own. At Ctrl-C it sends an interrupt and ends, and so
does that terminal, whose SIGHUP ends Terraform before its state is written. This program stays.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ops.errors import OpsError
from ops.machine.checkout import TOOLS
from ops.machine.signals import ended_once
from ops.report.terminal import Say
from ops.terraform.apply_process import OUTPUT
from ops.terraform.program import VARIABLE, Program

_PROGRAM = TOOLS / "terraform-under-cdktf"
_TERRAFORM, _REPORTS = "LLAMA_CPP_TERRAFORM", "LLAMA_CPP_APPLIES"
"""Environment variables: the real program, and the directory of the reports."""
_CHANGE_STATE = ("apply", "destroy")
_TERMINAL_BYTES = 65536
"""More than a terminal holds unread: 8 KiB to be processed and 4 KiB to be read."""
_READER_TIMEOUT_S = 10
_WAITING = "cdktf has ended; waiting for Terraform to write its state"


class ApplyError(OpsError):
    """An apply under cdktf-cli failed."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def environment(program: Program, reports: Path) -> Mapping[str, str]:
    """Return the variables that make cdktf-cli run `main`.

    Args:
        program: What `main` runs.
        reports: An empty directory, for `check_applies`.
    """
    return {VARIABLE: str(_PROGRAM), _TERRAFORM: str(program.path), _REPORTS: str(reports)}


def main(arguments: list[str]) -> int:
    """Run Terraform in this directory; an apply to its end.

    Args:
        arguments: Those of Terraform.

    Returns:
        The exit code.
    """
    program = os.environ[VARIABLE] = os.environ.pop(_TERRAFORM)
    reports = Path(os.environ.pop(_REPORTS))
    if arguments[0] not in _CHANGE_STATE:
        os.execv(program, [program, *arguments])  # noqa: S606 - no shell is needed.
    from ops.terraform.run import Terraform

    # Locked until this process ends, and empty until the apply has ended.
    with (reports / str(os.getpid())).open("w", encoding="utf-8") as report:
        fcntl.flock(report, fcntl.LOCK_EX)
        message, exit_code = "", 0
        try:
            terraform = Terraform(Path.cwd())
            terraform.check_state_is_written()
            terraform.run_to_its_end(*arguments, stdin=None)
        except OpsError as error:
            message, exit_code = str(error), error.exit_code
        json.dump([message, exit_code], report)
        report.flush()
        _wait_for_reader()
    return exit_code


def _wait_for_reader() -> None:
    """Wait until cdktf-cli has read what was written; 0.2 s after this process it stops reading.

    The terminal takes the blanks only after that. They end no line, so that cdktf-cli drops them.
    """

    def write() -> None:
        with suppress(OSError):  # It has ended.
            os.write(1, b" " * _TERMINAL_BYTES)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(_READER_TIMEOUT_S)


def check_applies(reports: Path, *, say: Say) -> None:
    """Wait for the applies that cdktf-cli started, and check how they ended.

    Args:
        reports: The directory that `environment` was given.
        say: Receives a line if an apply still runs.

    Raises:
        ApplyError: for the first that failed.
    """
    for path in sorted(reports.iterdir()):
        with path.open(encoding="utf-8") as report, ended_once(_WAITING):
            try:
                fcntl.flock(report, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(_WAITING)
                fcntl.flock(report, fcntl.LOCK_EX)
            text = report.read()
        if not text:
            raise ApplyError(
                f"{_PROGRAM.name} was killed, and Terraform may still run; it writes to {OUTPUT} "
                "in the stack's directory. Deploy again when it has ended",
                1,
            )
        message, exit_code = json.loads(text)
        if message:
            raise ApplyError(message, exit_code)
