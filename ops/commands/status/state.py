"""Read the exporter's document at /state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from in_pod.exporter.contract import STATE_PATH, STATE_VERSION
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.errors import OpsError, one_line

_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A load that ended."""

    model: str
    seconds: float
    ended: float
    """Seconds since 1970."""
    outcome: str
    waited: int
    """Requests that waited for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A workload that owns the card outside a window."""

    name: str
    has_card: bool | None
    replicas: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vram:
    """A card's memory."""

    card: str
    """Its number; empty where there is only one."""
    used_mib: float
    total_mib: float
    others_mib: float | None
    """None until a swap has settled, and where a loaded model has no prediction."""
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the exporter sees."""

    time: float
    """Seconds since 1970, as all times here."""
    endpoint: str
    reason: str
    since: float | None
    ready_in_s: float | None
    models: Mapping[str, tuple[str, float | None]]
    """Id -> its state, and since when it is loaded."""
    vram: tuple[Vram, ...]
    """Of each card; empty where the front end has no gauges."""
    window_open: bool
    window_holder: str
    window_until: float | None
    tenants: tuple[Tenant, ...]
    in_flight: int
    last_ok: float | None
    swaps: tuple[Swap, ...]
    """The last ones, in the exporter's order."""
    document: Mapping[str, Any]
    """The answer itself."""


def read_state(exporter: Endpoint) -> State:
    """Ask the exporter.

    Args:
        exporter: A client at its address.

    Raises:
        OpsError: when it does not answer, or with another document.
    """
    try:
        document = exporter.get(STATE_PATH, timeout_s=_TIMEOUT_S).document()
    except CheckError as error:
        raise OpsError(f"the exporter at {exporter.url} does not answer: {error}") from error
    try:
        return _state(document)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise OpsError(
            f"{exporter.url}{STATE_PATH} is no answer of the exporter "
            f"({one_line(f'{type(error).__name__}: {error}')}); expected version {STATE_VERSION}. "
            "Pass the exporter's address with --url"
        ) from error


def _state(document: Any) -> State:
    if document["version"] != STATE_VERSION:
        raise ValueError(f"version is {document['version']!r}")
    endpoint, window, requests = (document[key] for key in ("endpoint", "window", "requests"))
    vram = document["vram"]
    return State(
        time=float(document["time"]),
        endpoint=one_line(str(endpoint["state"])),
        reason=one_line(str(endpoint["reason"] or "")),
        since=_number(endpoint["since"]),
        ready_in_s=_number(endpoint["ready_in_s"]),
        models={
            one_line(str(name)): (one_line(str(it["state"])), _number(it["loaded_since"]))
            for name, it in document["models"].items()
        },
        vram=()
        if vram is None
        else tuple(
            Vram(
                card=one_line(str(it.get("card", ""))),
                used_mib=float(it["used_mib"]),
                total_mib=float(it["total_mib"]),
                others_mib=_number(it["others_mib"]),
                age_s=float(it["age_s"]),
            )
            for it in vram.get("cards", (vram,))
        ),
        window_open=bool(window["open"]),
        window_holder=one_line(str(window["holder"] or "")),
        window_until=_number(window["until"]),
        tenants=tuple(
            Tenant(
                name=one_line(str(it["name"])),
                has_card=it["has_card"],
                replicas=it["replicas"],
            )
            for it in document["tenants"]
        ),
        in_flight=int(requests["in_flight"]),
        last_ok=_number(requests["last_ok"]),
        swaps=tuple(
            Swap(
                model=one_line(str(it["model"])),
                seconds=float(it["seconds"]),
                ended=float(it["ended"]),
                outcome=one_line(str(it["outcome"])),
                waited=int(it["waited"]),
            )
            for it in document["swaps"]
        ),
        document=document,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
