"""What LiteLLM reads: its configuration with our policy, and the hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from in_pod.gateway.contract import CONFIG_FILE, PACKAGE, POLICY_FILE
from llama_swap_config.declaration import Declaration
from llama_swap_config.gateway.litellm import render_litellm
from llama_swap_config.gateway.policy import render_policy
from llama_swap_config.gateway.pool import GatewayPool
from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from stacks.pools import DeclaredPool
from stacks.programs import modules


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFiles:
    """The files of two directories.

    LiteLLM reads hooks beside its configuration as single files, which cannot import each other.
    """

    config: Mapping[str, str]
    """File name -> text of LiteLLM's configuration and of the policy."""
    hooks: Mapping[str, str]
    """File name -> source of each module of the package `gateway`."""
    timeout_s: int
    """Seconds that an answer may take, a load included, in the slowest pool."""


def gateway_files(
    pools: tuple[DeclaredPool, ...], gateway: Gateway | ExistingGateway, declaration: Declaration
) -> GatewayFiles:
    """Render what a gateway mounts.

    Args:
        pools: The pools, the first one first.
        gateway: Their gateway.
        declaration: All models and their consumers.

    Raises:
        ConfigError: when a model does not run on the node of its pool.
    """
    behind = tuple(_behind(pool, gateway) for pool in pools)
    return GatewayFiles(
        config={
            CONFIG_FILE: render_litellm(declaration.locked, behind),
            POLICY_FILE: render_policy(
                declaration.locked,
                declaration.consumers,
                behind,
                litellm_version=gateway.litellm_version,
                pictures=gateway.pictures,
                allowed_origins=gateway.allowed_origins,
                internal_ranges=pools[0].settings.internal_ranges,
            ),
        },
        hooks=modules(PACKAGE),
        timeout_s=max(pool.timeout_s for pool in behind),
    )


def _behind(pool: DeclaredPool, gateway: Gateway | ExistingGateway) -> GatewayPool:
    settings = pool.settings
    return GatewayPool(
        name=pool.name,
        endpoint_url=settings.url,
        front_end=settings.front_end,
        timeout_s=settings.llama_swap.health_check_timeout_s + gateway.answer_timeout_s,
        machine=settings.node.machine,
        cards=settings.gpu.count,
        residents=pool.residents,
        tenants=tuple(map(str, settings.tenants)),
        state_url=settings.state_url,
    )
