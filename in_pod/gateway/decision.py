"""Whether a request may be passed on: a function of what is known at one moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import ceil

from .card import SAMPLE_S, Others, Unknown
from .evictions import evictions
from .policy import Pool

RETRY_S = 15
"""Seconds until a retry where nobody knows when the card is free: three gauges."""
_NOISE_MIB = 16
"""What a gauge may show beyond the models although no program is on the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is known when a request arrives."""

    running: Collection[str]
    """Models that are loaded or loading, with those of admitted requests."""
    users: Mapping[str, frozenset[str]]
    """Model -> consumers with a request that it answers, or will answer."""
    protected: Mapping[str, Mapping[str | None, float]]
    """Model -> consumer -> seconds of its protection; None: loaded before the gateway started."""
    others: Others | Unknown
    last_used: Mapping[str, float] = field(default_factory=dict)
    """Model -> when its last request began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not passed on."""

    code: str
    reason: str
    """What is wrong, a clause with its figures."""
    holder: str
    """Who is in the way, a clause."""
    retry_after_s: int
    mib_needed: float
    """Of one card."""
    mib_free: float | None = None
    """What the model could have of that card now; None where the gauges say nothing."""
    failure: str | None = None
    """Why its load failed, as `failed_load.FailedLoad` calls it; None where none did."""


def decide(pool: Pool, snapshot: Snapshot, consumer: str, model: str) -> Refusal | None:
    """Return why a request is refused; None if it may be passed on.

    Args:
        pool: The pool.
        snapshot: What is known at this moment.
        consumer: Who asks.
        model: The id of the model.
    """
    if model in snapshot.running:
        return None
    return does_not_fit(pool, snapshot, model) or _ends_others(pool, snapshot, consumer, model)


def ended_by(pool: Pool, snapshot: Snapshot, model: str) -> tuple[str, ...]:
    """Return the models that the front end ends to load one."""
    return evictions(
        model,
        snapshot.running,
        front_end=pool.endpoint.front_end,
        card=pool.card,
        busy=snapshot.users.keys(),
        last_used=snapshot.last_used,
    )


def does_not_fit(pool: Pool, snapshot: Snapshot, model: str) -> Refusal | None:
    """Return why a model that is not loaded does not fit; None if it does, or nobody knows."""
    others = snapshot.others
    staying = set(snapshot.running).difference(ended_by(pool, snapshot, model))
    card, needed, free = _scarcest(pool, others, staying, model)
    if not isinstance(others, Others) or free is None or needed <= free + _NOISE_MIB:
        return None
    beside = sorted(it for it in staying if card in pool.vram_mib.get(it, ()))
    where = f" on card {card}" if pool.card.count > 1 else ""
    where += f" beside {' and '.join(beside)}" if beside else ""
    return Refusal(
        code="card_in_use",
        reason=f"it needs {needed:,.0f} MiB and {free:,.0f} MiB are free{where}, "
        f"{others.age_s:.0f} s ago",
        holder=f"another program holds {others.mib[card]:,.0f} MiB",
        # The next gauge settles what this one cannot.
        retry_after_s=RETRY_S if others.certain else max(1, ceil(SAMPLE_S + 1 - others.age_s)),
        mib_needed=needed,
        mib_free=free,
    )


def _ends_others(pool: Pool, snapshot: Snapshot, consumer: str, model: str) -> Refusal | None:
    if pool.consumers[consumer].may_evict:
        return None
    held = [
        _held(pool, snapshot, other, user)
        for other in ended_by(pool, snapshot, model)
        for user in (
            *snapshot.users.get(other, ()),
            *snapshot.protected.get(other, ()),
        )
        if user != consumer
    ]
    if not held:
        return None
    retry_after_s, holder = max(held)
    _, needed, free = _scarcest(pool, snapshot.others, snapshot.running, model)
    return Refusal(
        code="model_in_use",
        reason="loading it would end a model that others use",
        holder=holder,
        retry_after_s=retry_after_s,
        mib_needed=needed,
        mib_free=free,
    )


def _held(pool: Pool, snapshot: Snapshot, model: str, user: str | None) -> tuple[int, str]:
    """Return for how many seconds at least a user keeps a model, and how."""
    if user in snapshot.users.get(model, ()) and user is not None:
        keeps_s = max(RETRY_S, pool.consumers[user].protected_s)
        return keeps_s, f"model {model} of consumer {user}, in use"
    keeps_s = ceil(snapshot.protected[model][user])
    whose = f"of consumer {user}" if user else "loaded before the gateway started"
    return keeps_s, f"model {model} {whose}, protected for {keeps_s} s more"


def _scarcest(
    pool: Pool, others: Others | Unknown, staying: Collection[str], model: str
) -> tuple[int, float, float | None]:
    """Return the card of a model with the least left for it, what it needs of it and is free."""
    needs = pool.vram_mib[model]
    if not isinstance(others, Others):
        card = max(needs, key=lambda it: needs[it])
        return card, needs[card], None
    free = {
        card: max(0.0, pool.card.usable_mib - others.mib[card] - pool.loaded_mib(staying, card))
        for card in needs
    }
    card = min(needs, key=lambda it: free[it] - needs[it])
    return card, needs[card], free[card]
