"""Restore the tenants of a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from ..kubernetes.workload import Workload
from .contract import ENDPOINT_REPLICAS, LEASE, TRANSIENT
from .declared import Declared
from .errors import LostError, RescaledError, UnansweredError, WindowError
from .immich import Immich
from .record import Record
from .window import Window


def restore(window: Window, immich: Immich | None, declared: Declared) -> tuple[str, ...]:
    """Restore what the record of a held window names, and delete the Lease.

    The steps are always the same, so that a killed run can be repeated: restore the replicas of
    tenants and endpoint, wait until the tenants are ready, resume the queues. Only what still has
    the replicas that the window set is scaled: whoever scaled it later has decided.

    Args:
        window: The window, created or taken over.
        immich: Client to resume the queues; None without an API key.
        declared: What the settings name. Nothing else is changed, whatever the record says.

    Returns:
        What is not restored, one line each. The Lease then stays, unless it only awaits readiness.

    Raises:
        LostError: when another process took over the window.
        UnansweredError: when the API server does not answer.
    """
    # Whoever waits for the window then knows that it is only restored.
    window.end()
    record, problems, waiting = window.record, [], ""
    tenants = tuple(tenant for tenant in record.tenants if tenant.workload in declared.tenants)
    queues = tuple(name for name in record.queues if name in declared.queues)
    # What is scaled is not scaled again: whoever changes it after this restore has decided.
    rest = replace(
        record,
        tenants=tuple(tenant for tenant in record.tenants if tenant not in tenants),
        queues=tuple(name for name in record.queues if name not in queues),
        endpoint_replicas=ENDPOINT_REPLICAS,
    )
    foreign = tuple(map(_not_declared, _names(rest)))

    def unready() -> str:
        texts = (window.unready(tenant.workload, tenant.ready) for tenant in tenants)
        return ", ".join(filter(None, texts))

    if tenants and not record.given_back:
        window.say(f"restoring {', '.join(map(str, tenants))}")
        for tenant in tenants:
            # A tenant that was just scaled down has to start terminating its pods first.
            _waited(window, partial(window.staying, tenant.workload), window.timing.terminate_s)
            if problem := _scale_back(window, tenant.workload, 0, tenant.replicas):
                problems.append(problem)
                rest = replace(rest, tenants=(*rest.tenants, tenant))
        if record.endpoint_replicas == 0 and (
            problem := _scale_back(window, window.endpoint, ENDPOINT_REPLICAS, 0)
        ):
            problems.append(problem)
            rest = replace(rest, endpoint_replicas=0)
        waiting = _waited(window, unready, window.timing.ready_s)
    elif queues:
        waiting = _waited(window, unready, window.timing.ready_s)
    if problems:
        window.let_go(replace(rest, queues=record.queues))
        return (*problems, *foreign)
    remains = [f"the replicas are restored but not ready: {waiting}"] if waiting else []
    if queues:
        reason = waiting or _resume(queues, immich, window.restore_command)
        if reason:
            names = ", ".join(queues)
            cause = "they resume when the replicas are ready" if waiting else reason
            remains.append(f"Immich's queues {names} stay paused: {cause}")
            window.let_go(replace(record, given_back=True))
            return (*remains, *foreign)
    if foreign:
        window.let_go(rest)
    else:
        window.delete()
    return (*remains, *foreign)


def _names(record: Record) -> Iterator[str]:
    for tenant in record.tenants:
        yield f"{tenant.kind} {tenant}"
    for queue in record.queues:
        yield f"the queue {queue}"


def _not_declared(name: str) -> str:
    return (
        f"the record of the Lease {LEASE} names {name}, which sharing.tenants in "
        "stacks/production.py does not; it is left as it is. Restore it by hand if a window "
        "changed it, then delete the Lease"
    )


def _scale_back(window: Window, workload: Workload, set_to: int, replicas: int) -> str:
    """Scale a workload to what it had, unless somebody scaled it meanwhile; return why not."""
    try:
        return window.scale(workload, found=set_to, wanted=replicas)
    except RescaledError as error:
        window.say(f"{error} during the window, and stays so")
        return ""
    except (LostError, UnansweredError):
        raise
    except WindowError as error:
        return str(error)


def restore_past_deadline(
    window: Window, immich: Immich | None, declared: Declared, *, who: str
) -> tuple[str, ...]:
    """Restore a window past its deadline whose owner has no heartbeat; otherwise do nothing."""
    if not window.find():
        return ()
    left_s = window.deadline - window.now()
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
    return restore(window, immich, declared)


def _waited(window: Window, look: Callable[[], str], limit_s: float) -> str:
    """Wait; return an error as text, because the restore has to continue."""
    try:
        return window.wait(look, limit_s)
    except (LostError, UnansweredError):
        raise
    except WindowError as error:
        return str(error)


def _resume(names: tuple[str, ...], immich: Immich | None, restore_command: str) -> str:
    """Resume queues; return why not."""
    if immich is None:
        return f"IMMICH_API_KEY is not set. Set it and run {restore_command}."
    try:
        for name in names:
            immich.set_paused(name, False)
    except WindowError as error:
        return str(error)
    return ""
