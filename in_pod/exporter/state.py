"""The document at `/state`, for the gateway and for `ops status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import Reading
from .cluster import Tenant
from .contract import ONLY_CARD, STATE_VERSION
from .picture import Picture

_MIB = 2**20


def state_document(picture: Picture) -> dict[str, Any]:
    """Make the document; its fields never change, and others may be added."""
    seen, view = picture.seen, picture.view
    window = None if view is None else view.window
    return {
        "version": STATE_VERSION,
        "time": picture.time,
        "endpoint": {
            "state": picture.endpoint.state,
            "reason": picture.endpoint.reason,
            "since": picture.since,
            "ready_in_s": picture.ready_in_s,
        },
        "models": {
            model: {
                "state": state.state,
                "loaded_since": state.since if state.state == "ready" else None,
            }
            for model, state in seen.states.items()
        },
        "vram": _vram(seen.cards, seen.now),
        "window": {
            "open": window is not None,
            "holder": None if window is None else window.holder or None,
            "until": None if window is None else window.until,
        },
        "tenants": [] if view is None else list(map(_tenant, view.tenants)),
        "requests": {
            "in_flight": sum(seen.in_flight.values()),
            "waiting": None if seen.waiting is None else sum(seen.waiting.values()),
            "last_ok": seen.last_ok,
        },
        "swaps": [
            {
                "model": swap.model,
                "seconds": swap.seconds,
                "ended": swap.ended,
                "outcome": swap.outcome,
                "waited": swap.waited,
            }
            for swap in seen.swaps
        ],
        "volume": None
        if view is None
        else {
            "download": view.volume.download,
            "verification": view.volume.verification,
            "verified": view.volume.verified,
        },
    }


def _vram(cards: Mapping[str, Reading], now: float) -> dict[str, Any] | None:
    """Make the sum of the cards, and each of several."""
    if not cards:
        return None
    others = [reading.others for reading in cards.values() if reading.others is not None]
    document = {
        "used_mib": sum(reading.used for reading in cards.values()) / _MIB,
        "total_mib": sum(reading.total for reading in cards.values()) / _MIB,
        "others_mib": sum(others) / _MIB if len(others) == len(cards) else None,
        "age_s": now - min(reading.read for reading in cards.values()),
    }
    if ONLY_CARD in cards:
        return document
    parts = {card: _vram({ONLY_CARD: reading}, now) for card, reading in sorted(cards.items())}
    return document | {"cards": [{"card": card, **(part or {})} for card, part in parts.items()]}


def _tenant(tenant: Tenant) -> dict[str, Any]:
    has_card: bool | None = tenant.ready > 0
    if not tenant.ready and tenant.replicas:
        has_card = None  # Its pods may wait for the card, or have it and not be ready yet.
    return {
        "name": str(tenant.workload),
        "kind": tenant.workload.kind,
        "has_card": has_card,
        "replicas": tenant.replicas,
        "ready": tenant.ready,
    }
