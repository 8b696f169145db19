"""What LiteLLM reads: its configuration with our policy, and the hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from in_pod.gateway.contract import CONFIG_FILE, PACKAGE, POLICY_FILE
from llama_swap_config.declaration import Declaration
from llama_swap_config.gateway.litellm import render_litellm
from llama_swap_config.gateway.policy import render_policy
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
    """Seconds that an answer may take, a load included."""


def gateway_files(
    pools: tuple[DeclaredPool, ...], gateway: Gateway | ExistingGateway, declaration: Declaration
) -> GatewayFiles:
    """Render what a gateway mounts.

    Args:
        pools: The pools, the first one first.
        gateway: Their gateway.
        declaration: All models and their consumers.

    Raises:
        ConfigError: when a model does not run on the node of the settings.
    """
    settings = pools[0].settings
    timeout_s = settings.llama_swap.health_check_timeout_s + gateway.answer_timeout_s
    return GatewayFiles(
        config={
            CONFIG_FILE: render_litellm(
                declaration.locked,
                endpoint_url=settings.url,
                front_end=settings.front_end,
                timeout_s=timeout_s,
            ),
            POLICY_FILE: render_policy(
                declaration.locked,
                declaration.consumers,
                endpoint_url=settings.url,
                front_end=settings.front_end,
                machine=settings.node.machine,
                residents=declaration.residents(settings.node),
                tenants=tuple(map(str, settings.tenants)),
                timeout_s=timeout_s,
                litellm_version=gateway.litellm_version,
                pictures=gateway.pictures,
                allowed_origins=gateway.allowed_origins,
                internal_ranges=settings.internal_ranges,
                state_url=settings.state_url,
            ),
        },
        hooks=modules(PACKAGE),
        timeout_s=timeout_s,
    )
