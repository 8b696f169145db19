"""The document at `/state`, for the gateway and for `ops status`."""

from __future__ import annotations

from typing import Any

from .cluster import Tenant
from .contract import STATE_VERSION
from .picture import Picture

_MIB = 2**20


def state_document(picture: Picture) -> dict[str, Any]:
    """Make the document; its fields never change, and others may be added."""
    seen, view = picture.seen, picture.view
    card = seen.card
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
        "vram": None
        if card is None
        else {
            "used_mib": card.used / _MIB,
            "total_mib": card.total / _MIB,
            "others_mib": None if card.others is None else card.others / _MIB,
            "age_s": seen.now - card.read,
        },
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
