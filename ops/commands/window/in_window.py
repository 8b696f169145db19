"""Run a command in an open window, or hold the window without one.

Whoever scales a tenant up wants the card back, so the window ends.

The command gets its own process group in the foreground of the terminal, as in a shell: Ctrl-C
ends the command, and the window with it; the deadline ends all processes that the command started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from in_pod.gpu_window.errors import UnansweredError
from in_pod.gpu_window.window import Window
from ops.machine.parent import ended_with_this
from ops.report.durations import clock, span
from ops.report.terminal import CONSOLE, Say

ENDED_EARLY = 124
"""The exit code of a command that the window outlived, as with timeout(1)."""
_GRACE_S = 10
_REPORT_S = 300


def run_command(
    window: Window,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    say: Say,
    sleep: Callable[[float], None],
) -> int:
    """Run a command until it ends or the window's deadline passes.

    Args:
        window: The open window; its heartbeat continues.
        command: The program and its arguments.
        env: Variables to add to its environment.
        say: Receives a line for the operator.
        sleep: Sleeps for so many seconds; what it raises ends the command.

    Returns:
        The command's exit code; 128 plus the signal that ended it; 124 if the deadline or a
        tenant ended it.

    Raises:
        LostError: when another holder took the window; the command is ended.
    """
    watch = _Watch(window, say)
    deadline = window.record.deadline
    with _in_foreground() as prepare:
        process = subprocess.Popen(
            command, env={**os.environ, **env}, process_group=0, preexec_fn=prepare
        )
        try:
            with ended_with_this(process.pid, group=True):
                while process.poll() is None:
                    why = "the time is up" if window.now() >= deadline else watch.look()
                    if why:
                        say(f"{why}: SIGTERM to {command[0]}, SIGKILL after {_GRACE_S} s")
                        return ENDED_EARLY
                    sleep(min(window.timing.poll_s, 0.2))
        finally:
            if process.poll() is None:
                _end(process)
    code = process.returncode
    return code if code >= 0 else 128 - code


def hold(window: Window, *, url: str, say: Say, sleep: Callable[[float], None]) -> int:
    """Hold the window until Ctrl-C or its deadline, and show the remaining time.

    Returns:
        0; 124 if a tenant ended it.
    """
    watch = _Watch(window, say)
    deadline = window.record.deadline
    reported_s = float("inf")
    with CONSOLE.status("") as status:
        try:
            while (left_s := deadline - window.now()) > 0:
                line = (
                    f"{url} until {clock(deadline)}, {span(left_s)} left; Ctrl-C ends the window"
                )
                status.update(line)
                if reported_s - left_s >= _REPORT_S and not CONSOLE.is_terminal:
                    reported_s = left_s
                    say(line)
                if why := watch.look():
                    say(why)
                    return ENDED_EARLY
                sleep(min(window.timing.poll_s, 0.5))
            say("the time is up")
        except KeyboardInterrupt:
            say("Ctrl-C")
    return 0


class _Watch:
    """Renews the window and looks at its tenants.

    It tolerates a silent API server for a while, and reports it once.
    """

    def __init__(self, window: Window, say: Say) -> None:
        self._window, self._say = window, say
        self._is_silent = False
        self._looked_at = float("-inf")

    def look(self) -> str:
        """Return why the window must end; empty if it goes on."""
        if time.monotonic() - self._looked_at < self._window.timing.poll_s:
            return ""
        self._looked_at = time.monotonic()
        try:
            self._window.beat(patiently=False)
            scaled_up = [
                self._window.scaled_up(tenant.workload) for tenant in self._window.record.tenants
            ]
        except UnansweredError as error:
            if not self._is_silent:
                self._say(f"{error}; the window stays open, and the heartbeat is retried")
            self._is_silent = True
            return ""
        if self._is_silent:
            self._say("the API server answers again")
        self._is_silent = False
        reasons = ", ".join(filter(None, scaled_up))
        return f"{reasons}, so the window ends" if reasons else ""


@contextmanager
def _in_foreground() -> Iterator[Callable[[], None] | None]:
    """Give the terminal, if there is one, to the started process, and take it back afterwards."""
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

    parent = os.getppid()
    # A background process that takes the terminal is stopped, unless it ignores SIGTTOU.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        yield prepare
    finally:
        # If the command that started this one was killed, the shell has its terminal again.
        if os.getppid() == parent:
            os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        # A process that Ctrl-Z stopped handles SIGTERM only after SIGCONT.
        os.killpg(process.pid, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
