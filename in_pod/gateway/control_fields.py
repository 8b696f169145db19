"""Fields of a body that LiteLLM obeys, beside those of its own list (`all_litellm_params`).

A client's library never sends them: what it calls `extra_body` or `timeout` it uses itself. The
names are those that LiteLLM 1.108.7 reads from a request: arguments of its calls, and those that
its router and its proxy remove.
"""

from __future__ import annotations

CONTROL_FIELDS = (
    # Another address, another credential.
    *("base_url", "extra_headers", "extra_query", "extra_body", "user_config", "litellm_params"),
    *("organization", "callbacks", "success_callback", "failure_callback", "optional_params"),
    # Another model, or another deployment of one.
    *("content_policy_fallbacks", "context_window_fallbacks", "disable_fallbacks", "model_id"),
    *("include_fallback_errors", "specific_deployment", "router_settings_override", "engine"),
    *("model_group_retry_policy", "routing_strategy_args", "passthrough_on_no_deployment"),
    *("is_silent_experiment", "fallback_model_group", "deployment_id", "agent_id", "agent"),
    *("model_group_alias", "routing_groups", "passthrough"),
    # Other limits, other calls.
    *("timeout", "priority", "original_function", "original_generic_function", "call_type"),
    *("args", "kwargs", "logging_obj", "session"),
    # Other texts.
    *("additional_drop_params", "drop_params", "guardrail_config", "include_guardrail_response"),
    *("policies", "disable_global_guardrails", "standard_logging_object", "prompt_integration"),
    "initial_prompt_value",
)
