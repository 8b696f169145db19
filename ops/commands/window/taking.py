"""Become the owner of the one window there may be; finish first what a dead owner left."""

from __future__ import annotations

import getpass
import socket
import time

from in_pod.gpu_window.contract import DEAD_S
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.record import Record
from in_pod.gpu_window.restore import restore
from in_pod.gpu_window.window import Window
from ops.errors import OpsError
from ops.report.durations import clock, span

_TRIES = 3


def this_owner() -> str:
    """Name who runs this: user and machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def create(window: Window, immich: Immich | None, *, deadline_in_s: float) -> None:
    """Create the Lease, with nothing to put back in it yet.

    Args:
        window: Whose.
        immich: For what a dead owner may have left.
        deadline_in_s: Seconds until the window has to end.

    Raises:
        OpsError: when a window is open, or what another one left cannot be put back.
    """
    for _ in range(_TRIES):
        if window.find():
            if not window.is_dead:
                raise OpsError(_refusal(window))
            finish(window, immich)
        if window.create(this_owner(), Record(deadline=window.now() + deadline_in_s)):
            return
    raise OpsError("others open windows at the same time; try again")


def finish(window: Window, immich: Immich | None) -> None:
    """Restore a window that was found and whose owner is dead.

    Raises:
        OpsError: when something remains, or another one restores it.
    """
    window.say(f"restoring the window of {_owner(window)}, which was not given back")
    if window.take_over(this_owner()):
        remains = restore(window, immich)
        if remains:
            raise OpsError("; ".join(remains))
    elif window.find():
        raise OpsError(f"{_owner(window)} restores it at this moment; look again in a minute")


def wait_for_death(window: Window) -> bool:
    """Wait until the owner of a window that was found is known to be dead.

    Returns:
        Whether there is a window still.

    Raises:
        OpsError: when the owner shows that it lives.
    """
    renewed = window.renewed
    if not window.is_dead:
        window.say(
            f"{window.holder} beat {span(window.silent_s)} ago; waiting whether it does again, "
            f"for at most {DEAD_S} s"
        )
    while not window.is_dead:
        time.sleep(window.timing.poll_s)
        if not window.find():
            return False
        if window.renewed != renewed:
            raise OpsError(_alive(window))
    return True


def _owner(window: Window) -> str:
    return window.holder or "one who is gone"


def _refusal(window: Window) -> str:
    left_s = window.record.deadline - window.now()
    return (
        f"{window.holder} has the window since {clock(window.acquired)}, until "
        f"{clock(window.record.deadline)} ({span(left_s)} left), and beat "
        f"{span(window.silent_s)} ago; wait, or end it there; if it was killed, "
        "python -m ops window --restore puts back what it took"
    )


def _alive(window: Window) -> str:
    return (
        f"{window.holder} is alive: end the window there, by Ctrl-C; it ends by itself at "
        f"{clock(window.record.deadline)}"
    )
