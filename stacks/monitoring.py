"""What monitoring reads of all pools."""

from __future__ import annotations

import itertools

from llama_swap_config.monitoring.alerts import Alert, alerts
from llama_swap_config.monitoring.dashboard import render_dashboard
from llama_swap_config.monitoring.watched_pool import WatchedPool
from stacks.pools import DeclaredPool


def alerts_of(pools: tuple[DeclaredPool, ...]) -> tuple[Alert, ...]:
    """Return the alerts of all pools, each judged by its own models and cards."""
    several = _watched(pools) or (None,)
    return tuple(
        itertools.chain.from_iterable(
            alerts(
                pool.declaration.locked,
                pool.settings.node.machine,
                cards=pool.settings.gpu.count,
                pool=watched,
            )
            for pool, watched in zip(pools, several, strict=True)
        )
    )


def dashboard_of(pools: tuple[DeclaredPool, ...]) -> str:
    """Render the dashboard, which shows each pool."""
    return render_dashboard(
        _watched(pools), has_several_cards=any(pool.settings.gpu.count > 1 for pool in pools)
    )


def _watched(pools: tuple[DeclaredPool, ...]) -> tuple[WatchedPool, ...]:
    """Return what tells the pools apart; nothing where there is only one."""
    if len(pools) == 1:
        return ()
    return tuple(WatchedPool(name=pool.name, namespace=pool.settings.namespace) for pool in pools)
