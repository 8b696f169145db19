"""LiteLLM's config.yaml.

LiteLLM silently ignores unknown keys. Each key was tried with LiteLLM 1.108.7;
tests/real/gateway asks for the behaviour that it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import yaml

from in_pod.gateway.contract import AUTH, ENDPOINT_KEY_VARIABLE, deployment_id
from llama_swap_config.gateway.pool import GatewayPool, homes
from llama_swap_config.lock.locked import LockedModel

PING_S = 15
"""Seconds between the pings that keep a stream alive while its model loads."""
ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        # Otherwise it reads prices from the internet, and a file .env from its directory.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "DISABLE_ADMIN_UI": "True",
    }
)
"""LiteLLM's variables, wherever it runs."""


def render_litellm(models: tuple[LockedModel, ...], pools: tuple[GatewayPool, ...]) -> str:
    """Render LiteLLM's config.yaml.

    Args:
        models: The locked registry, in the operator's order.
        pools: The pools, the first one first.

    Returns:
        YAML, byte-stable for equal arguments.
    """
    document = {
        "model_list": [
            _entry(locked, pool, order=order if len(pools) > 1 else None)
            for locked in models
            for order, pool in enumerate(homes(locked, pools), start=1)
        ],
        "litellm_settings": {
            "request_timeout": max(pool.timeout_s for pool in pools),
            "drop_params": False,
            # A key of the cache knows no grammar, so another grammar would get the old answer.
            "cache": False,
            "callbacks": ["prometheus"],
            "require_auth_for_metrics_endpoint": False,
            "use_chat_completions_url_for_anthropic_messages": True,
            "sse_keepalive_ping_interval_seconds": PING_S,
            "turn_off_message_logging": True,
        },
        "router_settings": {
            # Otherwise three loads for one request whose model cannot be loaded.
            "num_retries": 0,
            "retry_policy": {
                # llama-swap takes ten requests for one model, and refuses the eleventh.
                "RateLimitErrorRetries": 3,
                "InternalServerErrorRetries": 0,
                "TimeoutErrorRetries": 0,
            },
            # Otherwise one unknown model closes the endpoint to everybody for five seconds.
            "disable_cooldowns": True,
            "model_group_alias": {
                alias: {"model": locked.model.id, "hidden": True}
                for locked in models
                for alias in locked.model.aliases
            },
        },
        "general_settings": {
            "custom_auth": AUTH,
            "custom_auth_run_common_checks": True,
            "cancel_on_disconnect": True,
            # A health check of LiteLLM is a request to every model in turn.
            "background_health_checks": False,
            "health_check_skip_disabled_background_models": True,
        },
    }
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=96)


def _entry(locked: LockedModel, pool: GatewayPool, *, order: int | None) -> dict[str, Any]:
    """Make a model's entry for a pool: 1 is its home, and None the only pool."""
    model = locked.model
    params: dict[str, Any] = {
        "model": f"openai/{model.id}",
        "api_base": f"{pool.endpoint_url}/v1",
        "api_key": f"os.environ/{ENDPOINT_KEY_VARIABLE}",
        "timeout": pool.timeout_s,
        # A stream has this limit only.
        "stream_timeout": pool.timeout_s,
        "max_retries": 0,
    }
    if order is not None:
        params["order"] = order
    if pool.front_end == "llama-server":
        # The router closes connections that it said it would keep.
        params["extra_headers"] = {"Connection": "close"}
    return {
        "model_name": model.id,
        "litellm_params": params,
        "model_info": {
            **({} if order is None else {"id": deployment_id(pool.name, model.id)}),
            "mode": "chat",
            "supports_vision": model.projector is not None,
            "supports_function_calling": True,
            "supports_response_schema": True,
            "max_input_tokens": model.context // model.parallel_slots,
            "max_output_tokens": model.context // model.parallel_slots,
            "disable_background_health_check": True,
            # Otherwise /v1/messages/count_tokens asks for a path that llama-swap does not have.
            "token_count_framing": 0,
        },
    }
