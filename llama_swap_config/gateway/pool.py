"""A pool as the gateway knows it."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.residency import ONE_RESIDENT, Residents
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.lock.locked import LockedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPool:
    """An endpoint, and what its requests are judged by."""

    name: str = "main"
    """By which a model names it as its home."""
    endpoint_url: str
    """Its address, without a path."""
    front_end: FrontEndName
    """The front end that answers there."""
    timeout_s: int
    """Seconds for an answer, a load included."""
    machine: Machine
    """Its cards and its engine, for the models' MiB."""
    cards: int = 1
    """How many cards its pod has."""
    residents: Residents = ONE_RESIDENT
    """The models that its front end may keep loaded together."""
    tenants: tuple[str, ...] = ()
    """`namespace/name` of the workloads that own its cards outside a window (default: none)."""
    state_url: str | None = None
    """Where its exporter says what the endpoint waits for (default: nowhere)."""


def homes(locked: LockedModel, pools: tuple[GatewayPool, ...]) -> tuple[GatewayPool, ...]:
    """Return the pools that may serve a model, its home first."""
    if len(pools) == 1:
        return pools
    by_name = {pool.name: pool for pool in pools}
    return tuple(by_name[name] for name in locked.model.pools)
