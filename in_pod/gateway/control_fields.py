"""Fields of a body that LiteLLM obeys, beside those of its own list (`all_litellm_params`).

A client's library never sends them: what it calls `extra_body` or `timeout` it uses itself. The
names are those that LiteLLM 1.108.7's router and proxy read from a request.
"""

from __future__ import annotations

CONTROL_FIELDS = (
    # Another address, another credential.
    *("base_url", "extra_headers", "extra_query", "extra_body", "user_config", "litellm_params"),
    # Another model, or another deployment of one.
    *("content_policy_fallbacks", "context_window_fallbacks", "disable_fallbacks", "model_id"),
    *("include_fallback_errors", "specific_deployment", "router_settings_override"),
    *("model_group_retry_policy", "routing_strategy_args", "passthrough_on_no_deployment"),
    *("is_silent_experiment", "fallback_model_group", "deployment_id", "agent_id"),
    # Other limits.
    *("timeout", "priority", "original_function", "call_type"),
    # Other texts.
    *("additional_drop_params", "drop_params", "guardrail_config", "include_guardrail_response"),
    *("policies", "disable_global_guardrails", "standard_logging_object"),
)
