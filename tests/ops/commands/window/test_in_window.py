"""A window's command on a terminal: it reads from it, and Ctrl-C ends only the command."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from in_pod.gpu_window.window import Window
from ops.commands.window.in_window import run_command
from ops.machine.signals import ended_once
from tests.conftest import ROOT

PROGRAM = """
import os, sys, time
from types import SimpleNamespace
from ops.commands.window.in_window import run_command
from ops.machine.signals import ended_once

window = SimpleNamespace(
    record=SimpleNamespace(deadline=time.time() + float(sys.argv[1]), tenants=()),
    now=time.time,
    timing=SimpleNamespace(poll_s=0.05),
    beat=lambda patiently: None,
)
env = {"LLAMA_SWAP_URL": "http://there"}
with ended_once("a note") as ending:
    code = run_command(window, sys.argv[2:], env=env, say=print, sleep=ending.sleep)
print("exit code", code, "in front" if os.tcgetpgrp(0) == os.getpgrp() else "behind", flush=True)
print("read", sys.stdin.readline().strip(), flush=True)
"""
BENCH = """
import os, subprocess, sys
from ops.machine.parent import ended_with_this

process = subprocess.Popen(sys.argv[1:])
with ended_with_this(process.pid):
    print("pids", os.getpid(), process.pid, flush=True)
    process.wait()
"""


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self.fd, inside = os.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inside)
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, line: str) -> None:
        deadline = time.monotonic() + 20
        while line not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode()
                except OSError:  # The terminal's other side is closed.
                    assert line in self.text, self.text

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def shell(opened: list[Terminal], script: str, deadline_s: float = 60) -> Terminal:
    command = (sys.executable, "-c", PROGRAM, str(deadline_s), "sh", "-c", script)
    opened.append(Terminal(*command))
    return opened[-1]


def test_command_reads_the_terminal_and_returns_it(opened: list[Terminal]) -> None:
    terminal = shell(opened, 'echo ask; read word; echo "got $word at $LLAMA_SWAP_URL"; exit 3')
    terminal.until("ask")
    terminal.type("hello\n")
    terminal.until("got hello at http://there")
    terminal.until("exit code 3 in front")
    terminal.type("again\n")
    terminal.until("read again")


def test_ctrl_c_ends_the_command_and_not_the_window(opened: list[Terminal]) -> None:
    terminal = shell(opened, "echo up; exec sleep 60")
    terminal.until("up")
    terminal.type("\x03")
    terminal.until("exit code 130 in front")


def test_stopped_command_ends_at_the_deadline(opened: list[Terminal]) -> None:
    terminal = shell(opened, "echo up; exec sleep 60", deadline_s=2)
    terminal.until("up")
    terminal.type("\x1a")
    terminal.until("the time is up")
    terminal.until("exit code 124 in front")


@pytest.mark.parametrize("killed", ["bench", "window"])
def test_shell_has_its_terminal_after_a_kill(killed: str, opened: list[Terminal]) -> None:
    program = (sys.executable, "-c", PROGRAM, "60", "sh", "-c", "echo up; read word; echo $word")
    opened.append(terminal := Terminal("sh", "-i"))
    terminal.type(shlex.join((sys.executable, "-c", BENCH, *program)) + "\n")
    terminal.until("up\r")
    found = re.search(r"pids (\d+) (\d+)", terminal.text)
    assert found
    bench, window = (psutil.Process(int(pid)) for pid in found.groups())
    while len(started := window.children()) < 2:  # The command and its watcher.
        time.sleep(0.01)
    started += [bench, window]
    (bench if killed == "bench" else window).kill()
    _, left = psutil.wait_procs(started, timeout=20)
    assert not left
    # A shell that has lost its terminal still gets the line that it waits for.
    for number in range(3):
        terminal.type(f"echo typed $(({number} + 1))\n")
        terminal.until(f"typed {number + 1}\r")


@pytest.mark.parametrize("moment", ["__init__", "_internal_poll"])
def test_signal_during_start_or_poll_ends_the_command(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("sleep", "60")
    started: list[subprocess.Popen[bytes]] = []
    interrupted = getattr(subprocess.Popen, moment)

    def interrupt(process: subprocess.Popen[bytes], *arguments: Any, **options: Any) -> Any:
        answer = interrupted(process, *arguments, **options)
        # Python also asks after processes that other tests left, before this one is started.
        if not started and getattr(process, "args", None) == command:
            started.append(process)
            os.kill(os.getpid(), signal.SIGTERM)
        return answer

    monkeypatch.setattr(subprocess.Popen, moment, interrupt)
    window = cast(
        "Window",
        SimpleNamespace(
            record=SimpleNamespace(deadline=time.time() + 60, tenants=()),
            now=time.time,
            timing=SimpleNamespace(poll_s=0.05),
            beat=lambda patiently: None,
        ),
    )
    with ended_once("a note") as ending, pytest.raises(SystemExit) as ended:
        run_command(window, command, env={}, say=print, sleep=ending.sleep)
    assert ended.value.code == 128 + signal.SIGTERM
    assert started[0].returncode == -signal.SIGTERM
