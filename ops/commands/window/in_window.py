"""What a window is opened for: a command, or a while in which whoever opened it does as they like.

The command gets a process group of its own, in the foreground of the terminal as a shell does it:
Ctrl-C ends the command, and the window with it, and the deadline ends all that the command
started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from in_pod.gpu_window.errors import UnansweredError
from in_pod.gpu_window.window import Window
from ops.report.durations import clock, span
from ops.report.terminal import CONSOLE, Say

TIME_IS_UP = 124
"""The exit code of a command that the deadline ended, as timeout(1) has it."""
_GRACE_S = 10
_SAY_S = 300


def run_command(
    window: Window,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    say: Say,
    sleep: Callable[[float], None],
) -> int:
    """Run a command until it ends or the window's deadline comes; what it writes is its own.

    Args:
        window: Whose deadline counts, and whose heartbeat goes on.
        command: The program and its arguments.
        env: Added to its environment.
        say: Takes a line for the operator.
        sleep: Sleeps for so many seconds; what it raises ends the command.

    Returns:
        Its exit code, 128 and the signal where one ended it; 124 where the deadline did.

    Raises:
        LostError: when another one took the window; the command is ended.
    """
    heartbeat = _Heartbeat(window, say)
    deadline = window.record.deadline
    with _in_foreground() as prepare:
        process = subprocess.Popen(
            command, env={**os.environ, **env}, process_group=0, preexec_fn=prepare
        )
        try:
            while process.poll() is None:
                if window.now() >= deadline:
                    say(f"the time is up: SIGTERM to {command[0]}, SIGKILL {_GRACE_S} s later")
                    return TIME_IS_UP
                heartbeat.beat()
                sleep(min(window.timing.poll_s, 0.2))
        finally:
            if process.poll() is None:
                _end(process)
    code = process.returncode
    return code if code >= 0 else 128 - code


def hold(window: Window, *, url: str, say: Say, sleep: Callable[[float], None]) -> None:
    """Keep the window open until Ctrl-C or its deadline, showing what is left."""
    heartbeat = _Heartbeat(window, say)
    deadline = window.record.deadline
    said = float("inf")
    with CONSOLE.status("") as status:
        try:
            while (left_s := deadline - window.now()) > 0:
                line = f"{url} until {clock(deadline)}, {span(left_s)} left; Ctrl-C gives it back"
                status.update(line)
                if said - left_s >= _SAY_S and not CONSOLE.is_terminal:
                    said = left_s
                    say(line)
                heartbeat.beat()
                sleep(min(window.timing.poll_s, 0.5))
            say("the time is up")
        except KeyboardInterrupt:
            say("Ctrl-C")


class _Heartbeat:
    """Goes on without an API server for a while, and says so once."""

    def __init__(self, window: Window, say: Say) -> None:
        self._window, self._say = window, say
        self._is_silent = False

    def beat(self) -> None:
        try:
            self._window.beat(patiently=False)
        except UnansweredError as error:
            if not self._is_silent:
                self._say(f"{error}; the window stays open, its heartbeat is tried again")
            self._is_silent = True
        else:
            if self._is_silent:
                self._say("the API server answers again")
            self._is_silent = False


@contextmanager
def _in_foreground() -> Iterator[Callable[[], None] | None]:
    """Give what is started the terminal, if there is one, and take it back afterwards."""
    try:
        terminal = sys.stdin.fileno()
        is_ours = os.tcgetpgrp(terminal) == os.getpgrp()
    except (OSError, ValueError):
        is_ours = False
    if not is_ours:
        yield None
        return

    def prepare() -> None:
        os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)

    # Whoever is not in the foreground is stopped for taking the terminal, unless it ignores that.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        yield prepare
    finally:
        os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        # One that was stopped by Ctrl-Z hears nothing else.
        os.killpg(process.pid, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
