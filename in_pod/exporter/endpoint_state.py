"""One word for the endpoint, and the reason, by its front end and its pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .cluster import Pod, View

State = Literal["serves", "waits", "warming", "failed", "stopped", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """What the endpoint does."""

    state: State
    reason: str
    """One line; empty while it serves."""


def endpoint_state(
    view: View | None, *, front_end_reason: str, cluster_reason: str
) -> EndpointState:
    """Judge the endpoint.

    Args:
        view: The cluster; None without one, or before its first answer.
        front_end_reason: Why the front end is not followed; empty if it is.
        cluster_reason: Why the cluster is not known at present; empty if it is.
    """
    if not front_end_reason:
        return EndpointState(state="serves", reason="")
    if cluster_reason:
        return EndpointState(state="unknown", reason=cluster_reason)
    if view is None:
        # Nothing else tells whether the front end runs.
        is_stopped = front_end_reason.endswith("connection refused")
        return EndpointState(state="stopped" if is_stopped else "unknown", reason=front_end_reason)
    if view.pod is None:
        return EndpointState(state="stopped", reason="the endpoint has no pod")
    return _of_pod(view.pod, _holder_of_card(view), front_end_reason)


def _of_pod(pod: Pod, holder: str, front_end_reason: str) -> EndpointState:
    state = pod.state
    reason = f"pod {pod.name}: {state.reason or state.state}"
    match state.meaning:
        case "ready":
            return EndpointState(
                state="unknown",
                reason=f"pod {pod.name} is ready, but its front end: {front_end_reason}",
            )
        case "ending" | "over":
            return EndpointState(state="stopped", reason=reason)
        case "failed":
            # `not scheduled` stays so until somebody releases the card, as is usual outside a
            # window; any other failure has to be mended.
            if state.cause == "node" and (holder or "Insufficient" in state.reason):
                return EndpointState(state="waits", reason=_waiting(holder, reason))
            return EndpointState(state="failed", reason=reason)
        case "waits":
            if state.reason.startswith("not scheduled"):
                return EndpointState(state="waits", reason=_waiting(holder, reason))
            return EndpointState(state="warming", reason=reason)


def _waiting(holder: str, reason: str) -> str:
    return f"{holder} has the card; {reason}" if holder else reason


def _holder_of_card(view: View) -> str:
    return ", ".join(str(tenant.workload) for tenant in view.tenants if tenant.ready)
