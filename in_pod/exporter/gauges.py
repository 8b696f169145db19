"""The gauges of one moment."""

from __future__ import annotations

import resource
from pathlib import Path

from .cluster import View
from .contract import ENDPOINT_STATES, JOB_STATES, MODEL_STATES
from .picture import Picture
from .plan import Plan
from .series import Family, Labels

_FRESH_S = 60.0
"""A reading of the card that is older is not shown."""


def gauges(picture: Picture, plan: Plan) -> dict[str, Family]:
    """Return the gauges of a picture; what is not known has no series."""
    seen = picture.seen
    cards = {
        card: reading
        for card, reading in seen.cards.items()
        if seen.now - reading.read <= _FRESH_S
    }
    families: dict[str, dict[Labels, float | None]] = {
        "llama_swap_up": {(): seen.is_up},
        "llama_swap_cluster_up": {(): not picture.cluster_reason} if picture.has_cluster else {},
        "llama_swap_build_info": {
            (plan.front_end, seen.version, str(plan.engine_build), plan.config_sha256): 1
        },
        "llama_swap_endpoint_state": _one_of(picture.endpoint.state, ENDPOINT_STATES),
        "llama_swap_model_state": {
            (model, name): state.state == name
            for model, state in seen.states.items()
            for name in MODEL_STATES
        },
        "llama_swap_model_vram_bytes": {
            labels: mib * 2**20 for labels, mib in plan.vram_mib.items()
        },
        "llama_swap_requests_in_flight": {
            (model,): count for model, count in seen.in_flight.items()
        },
        "llama_swap_requests_waiting": {
            (model,): count for model, count in (seen.waiting or {}).items()
        },
        "llama_swap_last_answer_timestamp_seconds": {(): seen.last_ok},
        "llama_swap_vram_used_bytes": {(card,): it.used for card, it in cards.items()},
        "llama_swap_vram_total_bytes": {(card,): it.total for card, it in cards.items()},
        "llama_swap_vram_others_bytes": {(card,): it.others for card, it in cards.items()},
        "process_resident_memory_bytes": {(): _resident_bytes()},
        "process_cpu_seconds_total": {(): _cpu_s()},
    }
    if picture.view is not None:
        families |= _of_cluster(picture.view)
    return {
        name: {labels: float(value) for labels, value in family.items() if value is not None}
        for name, family in families.items()
    }


def _of_cluster(view: View) -> dict[str, dict[Labels, float | None]]:
    window, volume = view.window, view.volume
    return {
        "llama_swap_window_open": {(): window is not None},
        "llama_swap_window_deadline_timestamp_seconds": {
            (): None if window is None else window.until
        },
        "llama_swap_tenant_replicas": {
            (str(tenant.workload),): tenant.replicas for tenant in view.tenants
        },
        "llama_swap_tenant_ready_replicas": {
            (str(tenant.workload),): tenant.ready for tenant in view.tenants
        },
        "llama_swap_download_state": _one_of(volume.download, JOB_STATES),
        "llama_swap_verification_state": _one_of(volume.verification, JOB_STATES),
        "llama_swap_verification_success_timestamp_seconds": {(): volume.verified},
    }


def _one_of(state: str, states: tuple[str, ...]) -> dict[Labels, float | None]:
    return {(name,): name == state for name in states}


def _resident_bytes() -> float | None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
