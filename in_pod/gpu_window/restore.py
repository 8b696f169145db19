"""Restore the tenants of a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from .contract import ENDPOINT_DEPLOYMENT, TRANSIENT
from .errors import LostError, UnansweredError, WindowError
from .immich import Immich
from .window import Window


def restore(window: Window, immich: Immich | None) -> tuple[str, ...]:
    """Restore what the record of a held window names, and delete the Lease.

    The steps are always the same, so that a killed run can be repeated: scale the endpoint to 0,
    restore the tenants' replicas and wait until they are ready, scale the endpoint to its declared
    replicas, resume the queues.

    Args:
        window: The window, created or taken over.
        immich: Client to resume the queues; None without an API key.

    Returns:
        What is not restored, one line each. The Lease then stays, unless it only awaits readiness.

    Raises:
        LostError: when another process took over the window.
        UnansweredError: when the API server does not answer.
    """
    record, problems, waiting = window.record, [], ""
    tenants = record.tenants

    def unready() -> str:
        texts = (
            window.unready(tenant.namespace, tenant.deployment, tenant.ready) for tenant in tenants
        )
        return ", ".join(filter(None, texts))

    if tenants and not record.given_back:
        window.say(f"restoring {', '.join(map(str, tenants))}")
        problems.append(window.scale(window.namespace, ENDPOINT_DEPLOYMENT, 0))
        lingering = partial(window.lingering, window.namespace, ENDPOINT_DEPLOYMENT)
        stuck = _waited(window, lingering, window.timing.gone_s)
        if stuck:
            window.say(f"no longer waiting for {stuck}")
        for tenant in tenants:
            # A tenant that was just scaled down has to start terminating its pods first.
            staying = partial(window.staying, tenant.namespace, tenant.deployment)
            _waited(window, staying, window.timing.gone_s)
            problems.append(window.scale(tenant.namespace, tenant.deployment, tenant.replicas))
        waiting = _waited(window, unready, window.timing.ready_s)
        # Even if they are not ready: their replicas are restored, and the scheduler does the rest.
        problems.append(
            window.scale(window.namespace, ENDPOINT_DEPLOYMENT, record.llama_swap_replicas)
        )
    elif record.queues:
        waiting = _waited(window, unready, window.timing.ready_s)
    if problems := [problem for problem in problems if problem]:
        window.let_go(record)
        return tuple(problems)
    remains = [f"the replicas are restored but not ready: {waiting}"] if waiting else []
    if record.queues:
        reason = waiting or _resume(record.queues, immich)
        if reason:
            names = ", ".join(record.queues)
            cause = "they resume when the replicas are ready" if waiting else reason
            remains.append(f"Immich's queues {names} stay paused: {cause}")
            window.let_go(replace(record, given_back=True))
            return tuple(remains)
    window.delete()
    return tuple(remains)


def restore_past_deadline(window: Window, immich: Immich | None, *, who: str) -> tuple[str, ...]:
    """Restore a window past its deadline whose owner has no heartbeat; otherwise do nothing."""
    if not window.find():
        return ()
    left_s = window.record.deadline - window.now()
    # A released window has no holder, and its deadline may be a moment in the future: it was set
    # by a clock of whole seconds.
    if window.holder and (left_s > 0 or not window.is_dead):
        state = (
            f"{left_s:.0f} s left" if left_s > 0 else f"last heartbeat {window.silent_s:.0f} s ago"
        )
        window.say(f"the window of {window.holder} is open: {state}")
        return ()
    window.say(f"the window of {window.holder or 'nobody'} is past its deadline: restoring")
    if not window.take_over(who):
        raise LostError("another process restores the window", TRANSIENT)
    return restore(window, immich)


def _waited(window: Window, look: Callable[[], str], limit_s: float) -> str:
    """Wait; return an error as text, because the restore has to continue."""
    try:
        return window.wait(look, limit_s)
    except (LostError, UnansweredError):
        raise
    except WindowError as error:
        return str(error)


def _resume(names: tuple[str, ...], immich: Immich | None) -> str:
    """Resume queues; return why not."""
    if immich is None:
        return "IMMICH_API_KEY is not set. Set it and run python -m ops window --restore."
    try:
        for name in names:
            immich.set_paused(name, False)
    except WindowError as error:
        return str(error)
    return ""
