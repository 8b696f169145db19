"""Acquire the window's Lease; first restore what a dead holder left."""

from __future__ import annotations

from collections.abc import Callable

from in_pod.gpu_window.contract import DEAD_S
from in_pod.gpu_window.declared import Declared
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.record import Record
from in_pod.gpu_window.restore import restore
from in_pod.gpu_window.window import Window
from ops.commands.window.holder import process_of, this_holder
from ops.errors import OpsError
from ops.report.durations import clock, span

_ATTEMPTS = 3
_CLOCK_S = 2
"""Two processes may differ by so much: the API server's clock has whole seconds."""


def create(
    window: Window,
    immich: Immich | None,
    declared: Declared,
    *,
    deadline_in_s: float,
    sleep: Callable[[float], None],
) -> None:
    """Create the window's Lease, with nothing to restore in it yet.

    Args:
        window: The window to open.
        immich: Immich, whose queues a dead holder may have left paused.
        declared: What the settings let a window change.
        deadline_in_s: Seconds until the window must end.
        sleep: Sleeps for so many seconds while another window ends.

    Raises:
        OpsError: when a window is open, or the window of a dead holder cannot be restored.
    """
    for _ in range(_ATTEMPTS):
        if window.find():
            if not (window.is_dead or _is_ended(window) or _is_killed(window)):
                raise OpsError(_refusal(window))
            if wait_for_end(window, sleep=sleep):
                finish(window, immich, declared)
        if window.create(this_holder(), Record(deadline=window.now() + deadline_in_s)):
            return
    raise OpsError("others open windows at the same time; retry")


def finish(window: Window, immich: Immich | None, declared: Declared) -> None:
    """Restore the window of a dead holder.

    Raises:
        OpsError: when something could not be restored, or somebody else restores it.
    """
    window.say(f"restoring what the window of {_holder(window)} took")
    if window.take_over(this_holder()):
        remains = restore(window, immich, declared)
        if remains:
            raise OpsError("; ".join(remains))
    elif window.find():
        raise OpsError(f"{_holder(window)} is restoring it now; check again in a minute")


def wait_for_end(window: Window, *, sleep: Callable[[float], None]) -> bool:
    """Wait until the holder of an open window has restored it, or is known to be dead.

    Args:
        window: The open window.
        sleep: Sleeps for so many seconds.

    Returns:
        Whether the window is still open.

    Raises:
        OpsError: when the holder renews its heartbeat before the deadline.
    """
    renewed = window.renewed
    if not window.is_dead:
        window.say(_waiting(window))
    while not window.is_dead:
        sleep(window.timing.poll_s)
        if not window.find():
            return False
        if window.renewed != renewed and not _is_ended(window):
            raise OpsError(_alive(window))
    return True


def _is_ended(window: Window) -> bool:
    """Whether a live holder only restores the window."""
    return window.deadline - window.now() <= _CLOCK_S


def _is_killed(window: Window) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    process = process_of(window.holder)
    return process is not None and not process.runs


def _holder(window: Window) -> str:
    return window.holder or "an earlier holder"


def _refusal(window: Window) -> str:
    left_s = window.record.deadline - window.now()
    return (
        f"{window.holder} has held the window since {clock(window.acquired)}, until "
        f"{clock(window.record.deadline)} ({span(left_s)} left); its last heartbeat was "
        f"{span(window.silent_s)} ago. Wait, or end it there; if it was killed, run "
        f"{window.restore_command}"
    )


def _waiting(window: Window) -> str:
    if _is_ended(window):
        return f"waiting until {window.holder} has restored what its window took"
    return (
        f"the last heartbeat of {window.holder} was {span(window.silent_s)} ago; waiting up to "
        f"{DEAD_S} s for another"
    )


def _alive(window: Window) -> str:
    return (
        f"{window.holder} is alive. End its window there with Ctrl-C; it ends by itself at "
        f"{clock(window.record.deadline)}"
    )
