"""The policy, JSON for the hooks of in_pod/gateway: consumers, models, card, pictures."""

from __future__ import annotations

import json

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.residency import Residents, totals_mib
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.settings import Pictures
from llama_swap_config.lock.locked import LockedModel


def render_policy(
    models: tuple[LockedModel, ...],
    consumers: tuple[Consumer, ...],
    *,
    endpoint_url: str,
    front_end: FrontEndName,
    machine: Machine,
    residents: Residents,
    tenants: tuple[str, ...],
    timeout_s: int,
    litellm_version: str,
    pictures: Pictures,
    allowed_origins: tuple[str, ...] = (),
    internal_ranges: tuple[str, ...] = (),
    state_url: str | None = None,
) -> str:
    """Render the policy.

    Args:
        models: The locked registry, in the operator's order.
        consumers: The consumers.
        endpoint_url: The endpoint's address, without a path.
        front_end: The front end that answers there.
        machine: The card and the engine, for the models' MiB.
        residents: The models that the front end may keep on the card together.
        tenants: `namespace/name` of the workloads that own the card outside a window.
        timeout_s: Seconds for an answer, a load included.
        litellm_version: The version whose hooks were tried; another major version is an error.
        pictures: What a request may carry.
        allowed_origins: Origins of web pages that may ask the gateway from a browser.
        internal_ranges: Public ranges of the operator, in CIDR, that no picture may come from.
        state_url: Where the exporter says what the endpoint waits for (default: nowhere).

    Returns:
        JSON, byte-stable for equal arguments.
    """
    mib = totals_mib(models, machine)
    document = {
        "version": 1,
        "litellm_version": litellm_version,
        "allowed_origins": list(allowed_origins),
        "endpoint": {
            "url": endpoint_url,
            "front_end": front_end,
            "timeout_s": timeout_s,
            "state_url": state_url,
        },
        "card": {
            "usable_mib": machine.card.usable_mib,
            "tenants": list(tenants),
            "sets": [list(ids) for ids in residents.sets],
            "models_max": residents.models_max,
        },
        "pictures": {
            "number": pictures.number,
            "bytes": pictures.megabytes * 1_000_000,
            "pixels": pictures.megapixels * 1_000_000,
            "internal_ranges": list(internal_ranges),
        },
        "models": {
            locked.model.id: {
                "aliases": list(locked.model.aliases),
                "vram_mib": round(mib[locked.model.id], 1),
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
