"""Why the endpoint does not answer: what the exporter says, or else who owns the card."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from .asking import Get, SilentError, UnreachableError
from .decision import RETRY_S
from .policy import Pool

_MOST_CHARACTERS = 300
"""Of a reason, which stands in one line of an answer."""
_MOST_RETRY_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why nobody answers, or who else has the card."""

    reason: str
    """A clause."""
    holder: str | None = None
    """The tenant that has the card; None if nobody is known to have it."""
    retry_after_s: int = RETRY_S


async def why(pool: Pool, get: Get) -> Why:
    """Ask the exporter, if the policy names one.

    Args:
        pool: The pool.
        get: Asks an address.

    Returns:
        What it says, or what the declared tenants let expect.
    """
    url = pool.endpoint.state_url
    if url is None:
        return _declared(pool)
    try:
        answer = await get(url)
        return _stated(answer.document) or _declared(pool)
    except (UnreachableError, SilentError):
        return _declared(pool)


def _declared(pool: Pool) -> Why:
    if not pool.card.tenants:
        return Why(reason="see the endpoint's pod")
    tenants = " and ".join(pool.card.tenants)
    verb = "has" if len(pool.card.tenants) == 1 else "have"
    return Why(reason=f"outside a window {tenants} {verb} the card", holder=tenants)


def _stated(document: Any) -> Why | None:
    """Read the exporter's JSON; None if that is not what it is."""
    try:
        endpoint, window = document["endpoint"], document.get("window") or {}
        state, reason = _line(endpoint["state"]), _line(endpoint["reason"])
        having = [_line(tenant["name"]) for tenant in document["tenants"] if tenant["has_card"]]
        ready_in_s = endpoint.get("ready_in_s")
        retry_after_s = RETRY_S if ready_in_s is None else _bounded(ready_in_s)
        holder = _line(window.get("holder") or "an unknown holder")
        held_for = f"a window is open for {holder}" if window.get("open") else ""
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError):
        return None
    if having:
        verb = "has" if len(having) == 1 else "have"
        tenants = " and ".join(having)
        return Why(
            reason=f"{tenants} {verb} the card; {held_for or 'no window is open'}",
            holder=tenants,
            retry_after_s=retry_after_s,
        )
    if state == "warming" and ready_in_s is not None:
        reason = f"{reason}; ready in about {retry_after_s} s"
    parts = (f"it {_VERBS.get(state, state)}", reason)
    return Why(reason=": ".join(filter(None, parts)), retry_after_s=retry_after_s)


def _line(value: object) -> str:
    return " ".join(str(value).split())[:_MOST_CHARACTERS]


def _bounded(seconds: float) -> int:
    return min(max(1, ceil(seconds)), _MOST_RETRY_S)


_VERBS = {
    "waits": "waits",
    "warming": "warms up",
    "failed": "failed",
    "stopped": "is stopped",
    "serves": "serves the exporter, but not the gateway",
    "unknown": "is in an unknown state",
}
