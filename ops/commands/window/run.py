"""Open a window, run a command in it, and restore everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from in_pod.gpu_window.api import Api, Timing
from in_pod.gpu_window.errors import LostError, UnansweredError
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.restore import restore
from in_pod.gpu_window.window import Window
from llama_swap_config.cluster.sharing import ByWindow
from ops.commands.window import taking
from ops.commands.window.holders import Holders
from ops.commands.window.in_window import hold, run_command
from ops.commands.window.opening import Opening, check
from ops.errors import OpsError, reason_of
from ops.machine.signals import ended_once
from ops.report.durations import clock, span
from ops.report.terminal import Say

Forward = Callable[[], AbstractContextManager[str]]
"""Forwards a local port to the endpoint, and yields its address on this machine."""

_NOTE = (
    "- still restoring the GPU's other users; after a kill -9, run python -m ops window --restore"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImmichAccess:
    """How this machine reaches Immich."""

    url: str | None
    """The address (default: the settings')."""
    key: str | None


def run(
    api: Api,
    settings: ByWindow,
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
    """Open a window, run a command in it, and restore everything whatever happens.

    Args:
        api: The API server.
        settings: The tenants that share the card.
        namespace: The endpoint's namespace.
        access: Immich's address and key.
        forward: Forwards a local port to the endpoint.
        command: The command; empty: hold the window until Ctrl-C or its end.
        for_s: Length of the window in seconds, counted from when the endpoint is ready.
        wait_s: Seconds that the opening may take.
        say: Receives a line of progress.
        warn: Receives a warning.
        timing: Intervals and time limits (default: those for a real cluster).

    Returns:
        The command's exit code, or 124 if the deadline ended it.

    Raises:
        OpsError: when the window cannot be opened, or something could not be restored.
    """
    window = Window(api, namespace=namespace, say=say, timing=timing)
    names, immich = _immich(settings, access, say=say, timing=timing)
    check(window, settings.tenants)
    with ended_once(_NOTE) as ending:
        taking.create(window, immich, deadline_in_s=wait_s + for_s)
        if names and immich is None:
            warn(
                "IMMICH_API_KEY is not set: Immich's queues are not paused, and jobs that arrive "
                f"during the window ({', '.join(names)}) will fail and are not retried"
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
            raise OpsError(f"{error}; this command restores nothing") from error
        except BaseException as error:
            failure = error
            say(_end_reason(error))
        try:
            remains = restore(window, immich)
        except UnansweredError as error:
            raise OpsError(f"{error}; {_unrestored(window, settings)}") from error
    if remains:
        raise OpsError("; ".join(remains)) from failure
    say("everything is restored")
    if failure is not None:
        raise failure
    return code


def restore_only(
    api: Api,
    settings: ByWindow,
    *,
    namespace: str,
    access: ImmichAccess,
    say: Say,
    timing: Timing | None = None,
) -> None:
    """Restore what a killed window took.

    Raises:
        OpsError: when the window's holder is alive, or something could not be restored.
    """
    window = Window(api, namespace=namespace, say=say, timing=timing)
    if not window.find():
        say("no window is open; nothing to restore")
        return
    if taking.wait_for_death(window):
        _, immich = _immich(settings, access, say=say, timing=timing)
        with ended_once(_NOTE):
            try:
                taking.finish(window, immich)
            except UnansweredError as error:
                raise OpsError(f"{error}; {_unrestored(window, settings)}") from error
    say("everything is restored")


def status(api: Api, *, namespace: str, say: Say) -> None:
    """Show whether a window is open, who holds it, and what it will restore."""
    window = Window(api, namespace=namespace, say=say)
    if not window.find():
        say("no window is open")
        return
    record = window.record
    left_s = record.deadline - window.now()
    end = f"{span(left_s)} left" if left_s > 0 else f"ended {span(-left_s)} ago"
    holder = window.holder or "nobody, but not everything is restored"
    say(f"held by {holder}, since {clock(window.acquired)}")
    say(f"until {clock(record.deadline)} ({end})")
    state = "dead" if window.is_dead else "alive"
    say(f"last heartbeat {span(window.silent_s)} ago: the holder is {state}")
    for tenant in () if record.given_back else record.tenants:
        say(f"to restore: {tenant}, replicas {tenant.replicas}, {tenant.ready} ready")
    for name in record.queues:
        say(f"to resume: Immich's queue {name}")


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
        say(f"the endpoint is at {url}; the window is open for {span(left_s)}")
        hold(window, url=url, say=say, sleep=sleep)
        return 0
    say(f"the endpoint is at {url}; running {command[0]} for at most {span(left_s)}")
    env = {"LLAMA_SWAP_URL": url, "OPENAI_BASE_URL": f"{url}/v1"}
    return run_command(window, command, env=env, say=say, sleep=sleep)


def _immich(
    settings: ByWindow, access: ImmichAccess, *, say: Say, timing: Timing | None
) -> tuple[tuple[str, ...], Immich | None]:
    # The settings name at most one Immich.
    queues = next((tenant.queues for tenant in settings.tenants if tenant.queues), None)
    if queues is None:
        return (), None
    if not access.key:
        return queues.names, None
    return queues.names, Immich(access.url or queues.url, access.key, say=say, timing=timing)


def _end_reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    if isinstance(error, SystemExit):
        return f"ended by signal {int(str(error)) - 128}"
    return reason_of(error)


def _unrestored(window: Window, settings: ByWindow) -> str:
    """Return which tenants are not restored yet, and what will restore them."""
    tenants = ", ".join(map(str, window.record.tenants)) or "no tenant"
    line = f"not restored: {tenants}. Run python -m ops window --restore"
    if settings.restore_schedule is None:
        return line
    return (
        f"{line}, or wait until the cluster restores it after {clock(window.record.deadline)} "
        f"({settings.restore_schedule})"
    )
