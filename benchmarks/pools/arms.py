"""The ways to spread models over pools, as arguments of LiteLLM's Router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import yaml

from benchmarks.pools.traffic import model_names, pool_names
from llama_swap_config.gateway.litellm import render_litellm

_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Where models are deployed, and how the router chooses."""

    name: str
    strategy: Literal["simple-shuffle", "least-busy"] = "simple-shuffle"
    is_ordered: bool = False
    """Whether the home has order 1 and the second home order 2."""
    is_everywhere: bool = False
    """Whether each model is deployed in all pools, not in its two homes."""
    retries: int = 0
    """Retries of any error; 0: as in the gateway's router_settings."""


DECLARED = Arm(name="declared homes", is_ordered=True)
ARMS = (
    DECLARED,
    Arm(name="shuffle, two homes"),
    Arm(name="least-busy, two homes", strategy="least-busy"),
    Arm(name="shuffle, all pools", is_everywhere=True),
    Arm(name="least-busy, all pools", strategy="least-busy", is_everywhere=True),
)
OUTAGE_ARMS = (
    *ARMS,
    Arm(name="shuffle, two homes, 2 retries", retries=2),
    Arm(name="least-busy, two homes, 2 retries", strategy="least-busy", retries=2),
)


def homes(model: int, pools: int) -> tuple[int, int]:
    """Return the number of a model's home and of its second home."""
    return model % pools, (model + 1) % pools


def router(arm: Arm, *, pools: int, models: int) -> dict[str, Any]:
    """Return the arguments of LiteLLM's Router: the gateway's settings and the deployments."""
    rendered = render_litellm(
        (), endpoint_url="http://unused", front_end="llama-swap", timeout_s=_TIMEOUT_S
    )
    return {
        **yaml.safe_load(rendered)["router_settings"],
        "routing_strategy": arm.strategy,
        "model_list": _model_list(arm, pools=pools, models=models),
        **({"num_retries": arm.retries, "retry_policy": None} if arm.retries else {}),
    }


def _model_list(arm: Arm, *, pools: int, models: int) -> list[dict[str, Any]]:
    names = pool_names(pools)
    return [
        {
            "model_name": model,
            "litellm_params": {
                "model": f"openai/{model}",
                "api_base": f"http://{names[pool]}/v1",
                "api_key": "none",
                "timeout": _TIMEOUT_S,
                "max_retries": 0,
                **({"order": order} if arm.is_ordered else {}),
            },
        }
        for index, model in enumerate(model_names(models))
        for order, pool in enumerate(
            range(pools) if arm.is_everywhere else homes(index, pools), start=1
        )
    ]
