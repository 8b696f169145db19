"""Why a window is refused where nobody lends the card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from in_pod.gpu_window.contract import LEASE
from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Api
from llama_swap_config.cluster.sharing import Alone, AtOnce, Sharing
from ops.report.kubectl import kubectl

if TYPE_CHECKING:
    from stacks.settings import Settings


def no_window(pools: tuple[Settings, ...], name: str | None) -> str:
    """Return why a window is refused where no pool has tenants.

    Args:
        pools: The pools.
        name: The one that the operator named; None: there is only one, or all of them.
    """
    if len(pools) > 1:
        names = ", ".join(pool.pool for pool in pools)
        return (
            f"no pool has sharing=ByWindow(...) in stacks/production.py ({names}): there is "
            "nothing to borrow. Ask the endpoint of a pool directly"
        )
    reason = _no_window(pools[0].sharing)
    return reason if name is None else f"pool {name!r}: {reason}"


def _no_window(sharing: Sharing) -> str:
    if isinstance(sharing, Alone):
        return (
            "sharing is Alone() in stacks/production.py: nothing else uses the card, so there is "
            "nothing to borrow. Ask the endpoint directly"
        )
    co_tenants = sharing.co_tenants if isinstance(sharing, AtOnce) else ()
    names = ", ".join(tenant.name for tenant in co_tenants)
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
