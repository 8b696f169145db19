"""Open a window, run a command in it, and restore everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from in_pod.gpu_window.contract import RESTORE_COMMAND
from in_pod.gpu_window.errors import LostError, UnansweredError, WindowError
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.restore import restore
from in_pod.gpu_window.timing import Timing
from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Api
from llama_swap_config.cluster.sharing import ByWindow
from ops.cluster.gpu_tenants import Holders
from ops.commands.window import taking
from ops.commands.window.in_window import hold, run_command
from ops.commands.window.opening import Opening, check, declared
from ops.commands.window.scalers import scalers
from ops.errors import OpsError, reason_of
from ops.machine.signals import ended_once
from ops.report.durations import clock, span
from ops.report.terminal import Say

Forward = Callable[[], AbstractContextManager[str]]
"""Forwards a local port to the endpoint, and yields its address on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImmichAccess:
    """How this machine reaches Immich."""

    url: str | None
    """The address (default: the settings')."""
    key: str | None


def run(
    api: Api,
    sharing: ByWindow,
    *,
    namespace: str,
    resource: str,
    access: ImmichAccess,
    forward: Forward,
    command: Sequence[str],
    for_s: float,
    wait_s: float,
    say: Say,
    warn: Say,
    timing: Timing | None = None,
    restore_command: str = RESTORE_COMMAND,
    pool: str | None = None,
) -> int:
    """Open a window, run a command in it, and restore everything whatever happens.

    Args:
        api: The API server.
        sharing: The tenants that lend the card.
        namespace: The endpoint's namespace.
        resource: The extended resource that the card is.
        access: Immich's address and key.
        forward: Forwards a local port to the endpoint.
        command: The command; empty: hold the window until Ctrl-C or its end.
        for_s: Length of the window in seconds, counted from when the endpoint is ready.
        wait_s: Seconds that the opening may take.
        say: Receives a line of progress.
        warn: Receives a warning.
        timing: Intervals and time limits (default: those for a real cluster).
        restore_command: The command that restores this window.
        pool: The pool's name, for the command (default: there is only one pool).

    Returns:
        The command's exit code, or 124 if the deadline or a tenant ended it.

    Raises:
        OpsError: when the window cannot be opened, or something could not be restored.
    """
    window = Window(
        api, namespace=namespace, say=say, timing=timing, restore_command=restore_command
    )
    names, immich = _immich(sharing, access, say=say, timing=timing)
    named = declared(sharing)
    check(window, named.tenants)
    for tenant in named.tenants:
        for scaler in scalers(api, window, tenant):
            warn(f"{scaler} scales {tenant}; if it does so during the window, the window ends")
    with ended_once(_note(window)) as ending:
        taking.create(window, immich, named, deadline_in_s=wait_s + for_s, sleep=ending.sleep)
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
                    opening = Opening(window, wait_s=wait_s, holders=Holders(api, resource))
                    opening.record(named.tenants, immich, names)
                    if immich is not None:
                        opening.pause(immich, names)
                    opening.take_card()
                    opening.give_card()
                    window.renew(replace(window.record, deadline=window.now() + for_s))
                    url = opened.enter_context(forward())
                code = _use(window, command, url, pool, say=say, sleep=ending.sleep)
        except LostError as error:
            raise OpsError(f"{error}; this command restores nothing") from error
        except BaseException as error:
            failure = error
            say(_end_reason(error))
        try:
            remains = restore(window, immich, named)
        except UnansweredError as error:
            raise OpsError(f"{error}; {_unrestored(window, sharing)}") from error
    if remains:
        raise OpsError("; ".join(remains)) from failure
    say("everything is restored")
    if failure is not None:
        raise failure
    return code


def restore_only(
    api: Api,
    sharing: ByWindow,
    *,
    namespace: str,
    access: ImmichAccess,
    say: Say,
    timing: Timing | None = None,
    restore_command: str = RESTORE_COMMAND,
) -> None:
    """Restore what a killed window took.

    Raises:
        OpsError: when the window's holder is alive, or something could not be restored.
    """
    window = Window(
        api, namespace=namespace, say=say, timing=timing, restore_command=restore_command
    )
    if not window.find():
        say("no window is open; nothing to restore")
        return
    if taking.wait_for_end(window, sleep=time.sleep):
        try:
            _, immich = _immich(sharing, access, say=say, timing=timing)
        except WindowError as error:
            # The replicas are restored without it.
            say(f"error: {error}")
            immich = None
        with ended_once(_note(window)):
            try:
                taking.finish(window, immich, declared(sharing))
            except UnansweredError as error:
                raise OpsError(f"{error}; {_unrestored(window, sharing)}") from error
    say("everything is restored")


def _use(
    window: Window,
    command: Sequence[str],
    url: str,
    pool: str | None,
    *,
    say: Say,
    sleep: Callable[[float], None],
) -> int:
    left_s = window.record.deadline - window.now()
    if not command:
        say(f"the endpoint is at {url}; the window is open for {span(left_s)}")
        return hold(window, url=url, say=say, sleep=sleep)
    say(f"the endpoint is at {url}; running {command[0]} for at most {span(left_s)}")
    env = {"LLAMA_SWAP_URL": url, "OPENAI_BASE_URL": f"{url}/v1"}
    if pool is not None:
        env["LLAMA_SWAP_POOL"] = pool
    return run_command(window, command, env=env, say=say, sleep=sleep)


def _immich(
    sharing: ByWindow, access: ImmichAccess, *, say: Say, timing: Timing | None
) -> tuple[tuple[str, ...], Immich | None]:
    # The settings name at most one Immich.
    queues = next((tenant.queues for tenant in sharing.tenants if tenant.queues), None)
    if queues is None:
        return (), None
    if not access.key:
        return queues.names, None
    return queues.names, Immich(access.url or queues.url, access.key, say=say, timing=timing)


def _note(window: Window) -> str:
    return (
        f"- still restoring the GPU's other users; after a kill -9, run {window.restore_command}"
    )


def _end_reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    if isinstance(error, SystemExit):
        return f"ended by signal {int(str(error)) - 128}"
    return reason_of(error)


def _unrestored(window: Window, sharing: ByWindow) -> str:
    """Return which tenants are not restored yet, and what will restore them."""
    tenants = ", ".join(map(str, window.record.tenants)) or "no tenant"
    line = f"not restored: {tenants}. Run {window.restore_command}"
    if sharing.restore_schedule is None:
        return line
    return (
        f"{line}, or wait until the cluster restores it after {clock(window.record.deadline)} "
        f"({sharing.restore_schedule})"
    )
