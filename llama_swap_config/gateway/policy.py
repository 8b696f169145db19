"""The policy, JSON for the hooks of in_pod/gateway: consumers, models, pools, pictures."""

from __future__ import annotations

import json
from typing import Any

from llama_swap_config.fit.residency import mib_by_card
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.pool import GatewayPool, homes
from llama_swap_config.gateway.settings import Pictures
from llama_swap_config.lock.locked import LockedModel


def render_policy(
    models: tuple[LockedModel, ...],
    consumers: tuple[Consumer, ...],
    pools: tuple[GatewayPool, ...],
    *,
    litellm_version: str,
    pictures: Pictures,
    allowed_origins: tuple[str, ...] = (),
    internal_ranges: tuple[str, ...] = (),
) -> str:
    """Render the policy.

    Args:
        models: The locked registry, in the operator's order.
        consumers: The consumers.
        pools: The pools, the first one first.
        litellm_version: The version whose hooks were tried; another major version is an error.
        pictures: What a request may carry.
        allowed_origins: Origins of web pages that may ask the gateway from a browser.
        internal_ranges: Public ranges of the operator, in CIDR, that no picture may come from.

    Returns:
        JSON, byte-stable for equal arguments.
    """
    taken = {
        pool.name: _taken(tuple(it for it in models if pool in homes(it, pools)), pool)
        for pool in pools
    }

    def fields(locked: LockedModel) -> dict[str, Any]:
        of = [(pool.name, taken[pool.name][locked.model.id]) for pool in homes(locked, pools)]
        if len(pools) == 1:
            return {"vram_mib": of[0][1]}
        return {"homes": [{"pool": name, "vram_mib": mib} for name, mib in of]}

    document = {
        "version": 1,
        "litellm_version": litellm_version,
        "allowed_origins": list(allowed_origins),
        **(
            _pool(pools[0]) if len(pools) == 1 else {"pools": {it.name: _pool(it) for it in pools}}
        ),
        "pictures": {
            "number": pictures.number,
            "bytes": pictures.megabytes * 1_000_000,
            "pixels": pictures.megapixels * 1_000_000,
            "internal_ranges": list(internal_ranges),
        },
        "models": {
            locked.model.id: {
                "aliases": list(locked.model.aliases),
                **fields(locked),
            }
            for locked in models
        },
        "consumers": {
            consumer.name: {
                "models": list(consumer.models),
                "requests_per_minute": consumer.requests_per_minute,
                "parallel_requests": consumer.parallel_requests,
                "may_evict": consumer.may_evict,
                "protected_s": consumer.protected_s,
                "remote_images": consumer.remote_images,
            }
            for consumer in consumers
        },
    }
    return f"{json.dumps(document, indent=2)}\n"


def _pool(pool: GatewayPool) -> dict[str, Any]:
    residents = pool.residents
    card = {
        "usable_mib": pool.machine.card.usable_mib,
        "tenants": list(pool.tenants),
        "sets": [list(ids) for ids in residents.sets],
        "models_max": residents.models_max,
    }
    if pool.cards > 1:
        card["count"] = pool.cards
        card["combinations"] = [
            {"split": list(it.split), "choices": it.choices} for it in residents.combinations
        ]
    return {
        "endpoint": {
            "url": pool.endpoint_url,
            "front_end": pool.front_end,
            "timeout_s": pool.timeout_s,
            "state_url": pool.state_url,
        },
        "card": card,
    }


def _taken(models: tuple[LockedModel, ...], pool: GatewayPool) -> dict[str, Any]:
    """Return what each model takes of the card, in MiB, or by number of each of its cards."""
    by_card = {
        model: {str(card): round(mib, 1) for card, mib in cards.items()}
        for model, cards in mib_by_card(models, pool.machine).items()
    }
    if pool.cards > 1:
        return by_card
    return {model: mib for model, cards in by_card.items() for mib in cards.values()}
