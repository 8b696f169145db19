"""A signal at any moment of a deploy interrupts Terraform once and waits for its end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ops.terraform.program import Program
from ops.terraform.run import ApplyInterruptedError, Terraform

_TERRAFORM = """#!/bin/sh
trap 'echo interrupted >> interrupts; exit 0' INT
touch started
while :; do sleep 0.01; done
"""


@pytest.fixture
def terraform(tmp_path: Path) -> Terraform:
    """A Terraform that applies until it is interrupted."""
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(_TERRAFORM)
    program.chmod(0o755)
    return Terraform(tmp_path, program=Program(path=program, tool="terraform", version="1.11.4"))


@pytest.fixture
def time_limit() -> Iterator[None]:
    """Fail a test that hangs."""

    def fail(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("it neither ended nor interrupted Terraform")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def signal_at(wanted: int, started: Path) -> Any:
    """Trace the main thread; send SIGTERM at a line, counted from where Terraform has started."""
    lines, runs = 0, False

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines, runs
        runs = runs or ("progress" in frame.f_locals and started.exists())
        if runs and event == "line":
            lines += 1
            if lines == wanted:
                signal.raise_signal(signal.SIGTERM)
        return trace

    return trace


@pytest.mark.usefixtures("time_limit")
@pytest.mark.parametrize("line", range(1, 41))
def test_a_signal_at_any_line_interrupts_terraform_once(
    terraform: Terraform, tmp_path: Path, line: int
) -> None:
    before = sys.gettrace()
    sys.settrace(signal_at(line, tmp_path / "started"))
    try:
        with pytest.raises(ApplyInterruptedError):
            terraform.apply_plan(Path("plan"), quiet=True)
    finally:
        sys.settrace(before)
    assert (tmp_path / "interrupts").read_text() == "interrupted\n"
