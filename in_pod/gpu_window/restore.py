"""Put back what a window took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from .contract import ENDPOINT_DEPLOYMENT, TRANSIENT
from .errors import LostError, UnansweredError, WindowError
from .immich import Immich
from .window import Window


def restore(window: Window, immich: Immich | None) -> tuple[str, ...]:
    """Put back what the record of a window that we have names, and delete the Lease.

    Always the same: llama-swap off the card, the others to the replicas they had and ready,
    llama-swap to its declared replicas, the queues resumed. A run that is killed is run again.

    Args:
        window: The window, created or taken over.
        immich: Where to resume the queues; None: no key is known.

    Returns:
        What remains, a line each; the Lease then stays, unless it could not say more than that.

    Raises:
        LostError: when another one took it over.
        UnansweredError: when the API server does not answer for a while.
    """
    record, problems, waiting = window.record, [], ""
    tenants = record.tenants

    def unready() -> str:
        found = (window.unready(each.namespace, each.deployment, each.ready) for each in tenants)
        return ", ".join(filter(None, found))

    if tenants and not record.given_back:
        window.say(f"giving the card back to {', '.join(map(str, tenants))}")
        problems.append(window.scale(window.namespace, ENDPOINT_DEPLOYMENT, 0))
        lingering = partial(window.lingering, window.namespace, ENDPOINT_DEPLOYMENT)
        stuck = _waited(window, lingering, window.timing.gone_s)
        if stuck:
            window.say(f"not waiting any longer: {stuck}")
        for each in tenants:
            # Where it ends just when it has scaled them down, that has to come first.
            staying = partial(window.staying, each.namespace, each.deployment)
            _waited(window, staying, window.timing.gone_s)
            problems.append(window.scale(each.namespace, each.deployment, each.replicas))
        waiting = _waited(window, unready, window.timing.ready_s)
        # Also where they are not ready: their replicas are back, the scheduler sees to the rest.
        problems.append(
            window.scale(window.namespace, ENDPOINT_DEPLOYMENT, record.llama_swap_replicas)
        )
    elif record.queues:
        waiting = _waited(window, unready, window.timing.ready_s)
    if problems := [each for each in problems if each]:
        window.let_go(record)
        return tuple(problems)
    remains = [f"the replicas are back, but not ready: {waiting}"] if waiting else []
    if record.queues:
        reason = waiting or _resume(record.queues, immich)
        if reason:
            names = ", ".join(record.queues)
            line = "they follow when that is ready" if waiting else reason
            remains.append(f"Immich's queues {names} stay paused: {line}")
            window.let_go(replace(record, given_back=True))
            return tuple(remains)
    window.delete()
    return tuple(remains)


def restore_past_deadline(window: Window, immich: Immich | None, *, who: str) -> tuple[str, ...]:
    """Restore a window whose time is up and whose owner is silent; leave every other alone."""
    if not window.find():
        return ()
    left_s = window.record.deadline - window.now()
    # One that was let go is anybody's: its deadline is the time of then, by a clock of whole
    # seconds, which may not be reached yet by this one.
    if window.holder and (left_s > 0 or not window.is_dead):
        until = (
            f"{left_s:.0f} s left" if left_s > 0 else f"a heartbeat {window.silent_s:.0f} s ago"
        )
        window.say(f"the window of {window.holder} is left alone: {until}")
        return ()
    window.say(f"the window of {window.holder or 'nobody'} is past its deadline: restoring")
    if not window.take_over(who):
        raise LostError("another one restores the window", TRANSIENT)
    return restore(window, immich)


def _waited(window: Window, look: Callable[[], str], limit_s: float) -> str:
    """Wait, and take a refusal for something that it still waits for: restoring has to go on."""
    try:
        return window.wait(look, limit_s)
    except (LostError, UnansweredError):
        raise
    except WindowError as error:
        return str(error)


def _resume(names: tuple[str, ...], immich: Immich | None) -> str:
    """Resume queues; say why not."""
    if immich is None:
        return "IMMICH_API_KEY is not set; set it and run python -m ops window --restore"
    try:
        for name in names:
            immich.set_paused(name, False)
    except WindowError as error:
        return str(error)
    return ""
