"""A window from its opening to the moment when everything is as before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from in_pod.gpu_window.api import Api, Timing
from in_pod.gpu_window.errors import LostError, UnansweredError
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.restore import restore
from in_pod.gpu_window.window import Window
from llama_swap_config.cluster.gpu_tenants import GpuWindow
from ops.commands.window import taking
from ops.commands.window.holders import Holders
from ops.commands.window.in_window import hold, run_command
from ops.commands.window.opening import Opening, check
from ops.errors import OpsError, reason_of
from ops.machine.signals import ended_once
from ops.report.durations import clock, span
from ops.report.terminal import Say

Forward = Callable[[], AbstractContextManager[str]]
"""Opens a way to the endpoint, and gives its address on this machine."""

_NOTE = (
    "- the card is being given back, which goes on; kill -9 would leave it to "
    "python -m ops window --restore"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImmichAccess:
    """How this machine reaches Immich."""

    url: str | None
    """Left out: the one of the settings."""
    key: str | None


def run(
    api: Api,
    settings: GpuWindow,
    *,
    namespace: str,
    access: ImmichAccess,
    forward: Forward,
    command: Sequence[str],
    for_s: float,
    wait_s: float,
    say: Say,
    warn: Say,
    timing: Timing | None = None,
) -> int:
    """Open a window, run a command in it, and give everything back whatever happens.

    Args:
        api: The API server.
        settings: Who has the card.
        namespace: The endpoint's.
        access: Immich's address and key, where there are any.
        forward: A way to the endpoint.
        command: What to run; empty: the window is held until Ctrl-C or its end.
        for_s: Seconds that the card is had, counted from the moment at which the endpoint is
            ready.
        wait_s: Seconds that the opening may take.
        say: Takes a line of progress.
        warn: Takes a warning.
        timing: Left out: what fits a real cluster.

    Returns:
        The command's exit code; 124 where the deadline ended it.

    Raises:
        OpsError: when it cannot be opened, and when something remains to be put back.
    """
    window = Window(api, namespace=namespace, say=say, timing=timing)
    names, immich = _immich(settings, access, say=say, timing=timing)
    check(window, settings.tenants)
    with ended_once(_NOTE) as ending:
        taking.create(window, immich, deadline_in_s=wait_s + for_s)
        if names and immich is None:
            warn(
                "IMMICH_API_KEY is not set: Immich's queues are not paused, and jobs that arrive "
                f"meanwhile ({', '.join(names)}) will fail and are not tried again"
            )
        failure: BaseException | None = None
        code = 0
        try:
            with ExitStack() as opened:
                with ending.possible():
                    opening = Opening(window, wait_s=wait_s, holders=Holders(api))
                    opening.record(settings.tenants, immich, names)
                    if immich is not None:
                        opening.pause(immich, names)
                    opening.take_card()
                    opening.give_card()
                    window.renew(replace(window.record, deadline=window.now() + for_s))
                    url = opened.enter_context(forward())
                code = _use(window, command, url, say=say, sleep=ending.sleep)
        except LostError as error:
            raise OpsError(f"{error}; nothing more is done here") from error
        except BaseException as error:
            failure = error
            say(_why(error))
        try:
            remains = restore(window, immich)
        except UnansweredError as error:
            raise OpsError(f"{error}; {_later(window, settings)}") from error
    if remains:
        raise OpsError("; ".join(remains)) from failure
    say("everything is as before")
    if failure is not None:
        raise failure
    return code


def restore_only(
    api: Api,
    settings: GpuWindow,
    *,
    namespace: str,
    access: ImmichAccess,
    say: Say,
    timing: Timing | None = None,
) -> None:
    """Put back what a window left that did not end by itself.

    Raises:
        OpsError: when its owner lives, or something remains.
    """
    window = Window(api, namespace=namespace, say=say, timing=timing)
    if not window.find():
        say("no window is open: nothing to restore")
        return
    if taking.wait_for_death(window):
        _, immich = _immich(settings, access, say=say, timing=timing)
        with ended_once(_NOTE):
            try:
                taking.finish(window, immich)
            except UnansweredError as error:
                raise OpsError(f"{error}; {_later(window, settings)}") from error
    say("everything is as before")


def status(api: Api, *, namespace: str, say: Say) -> None:
    """Say whether a window is open, whose, and what it will put back."""
    window = Window(api, namespace=namespace, say=say)
    if not window.find():
        say("no window is open")
        return
    record = window.record
    left_s = record.deadline - window.now()
    end = f"{span(left_s)} left" if left_s > 0 else f"over for {span(-left_s)}"
    say(f"{window.holder or 'nobody, but something remains'}, since {clock(window.acquired)}")
    say(f"until {clock(record.deadline)} ({end})")
    beat = "its owner is gone" if window.is_dead else "its owner is alive"
    say(f"last heartbeat {span(window.silent_s)} ago: {beat}")
    for each in () if record.given_back else record.tenants:
        say(f"to be put back: {each}, replicas {each.replicas}, {each.ready} ready")
    for name in record.queues:
        say(f"to be resumed: Immich's queue {name}")


def _use(
    window: Window,
    command: Sequence[str],
    url: str,
    *,
    say: Say,
    sleep: Callable[[float], None],
) -> int:
    left_s = window.record.deadline - window.now()
    if not command:
        say(f"the endpoint is at {url}; the card is yours for {span(left_s)}")
        hold(window, url=url, say=say, sleep=sleep)
        return 0
    say(f"the endpoint is at {url}; running {command[0]} for at most {span(left_s)}")
    env = {"LLAMA_SWAP_URL": url, "OPENAI_BASE_URL": f"{url}/v1"}
    return run_command(window, command, env=env, say=say, sleep=sleep)


def _immich(
    settings: GpuWindow, access: ImmichAccess, *, say: Say, timing: Timing | None
) -> tuple[tuple[str, ...], Immich | None]:
    # The settings name one Immich at most.
    queues = next((each.queues for each in settings.tenants if each.queues is not None), None)
    if queues is None:
        return (), None
    if not access.key:
        return queues.names, None
    return queues.names, Immich(access.url or queues.url, access.key, say=say, timing=timing)


def _why(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    if isinstance(error, SystemExit):
        return f"ended by signal {int(str(error)) - 128}"
    return reason_of(error)


def _later(window: Window, settings: GpuWindow) -> str:
    """Say what will put back what is not put back yet."""
    tenants = ", ".join(map(str, window.record.tenants)) or "nothing"
    by_hand = "python -m ops window --restore"
    if settings.restore_schedule is None:
        return f"{tenants} to be put back by {by_hand}"
    return (
        f"{tenants} to be put back by {by_hand}, or by the cluster itself after "
        f"{clock(window.record.deadline)} ({settings.restore_schedule})"
    )
