"""Why a window is refused where nobody lends the card."""

from __future__ import annotations

from in_pod.gpu_window.contract import LEASE
from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Api
from llama_swap_config.cluster.sharing import Alone, AtOnce
from ops.report.kubectl import kubectl


def no_window(sharing: Alone | AtOnce) -> str:
    """Return why a window is refused in the other two ways to share the card."""
    if isinstance(sharing, Alone):
        return (
            "sharing is Alone() in stacks/production.py: nothing else uses the card, so there is "
            "nothing to borrow. Ask the endpoint directly"
        )
    names = ", ".join(tenant.name for tenant in sharing.co_tenants)
    return (
        f"sharing is AtOnce(...) in stacks/production.py: {names} and the endpoint run on the "
        "card at the same time, so there is nothing to borrow. Ask the endpoint directly"
    )


def left_window(api: Api, namespace: str) -> str:
    """Return what to do with a window that was left when windows were still declared.

    Args:
        api: The API server.
        namespace: The endpoint's namespace.
    """
    window = Window(api, namespace=namespace, say=lambda _line: None)
    if not window.find():
        return ""
    tenants = ", ".join(
        f"{tenant.kind} {tenant} to {tenant.replicas}" for tenant in window.record.tenants
    )
    return (
        "a window of sharing=ByWindow(...) is left: its Lease names "
        f"{tenants or 'no tenant'}. Scale by hand, resume Immich's queues, then "
        + kubectl(f"delete lease {LEASE}", namespace=namespace)
    )
