"""Names and places that the gateway's configuration and its hooks share."""

from __future__ import annotations

PACKAGE = "gateway"
"""The hooks as LiteLLM imports them; their parent directory is on PYTHONPATH."""
AUTH = f"{PACKAGE}.auth.user_api_key_auth"
"""LiteLLM's `custom_auth`. Importing it also puts the checks in front of LiteLLM's app."""
CONFIG_DIR = "/etc/gateway"
KEYS_DIR = "/etc/gateway-keys"
HOOKS_DIR = "/hooks"
"""Where a pod mounts configuration, keys and, as PACKAGE below it, the hooks."""
CONFIG_FILE = "litellm.yaml"
POLICY_FILE = "policy.json"
POLICY_VARIABLE = "GATEWAY_POLICY_FILE"
"""Variable with the path of the policy."""
KEYS_VARIABLE = "GATEWAY_KEYS_DIR"
"""Variable with the directory of the mounted Secret: one file per consumer, named like it."""
ENDPOINT_KEY_VARIABLE = "LLAMA_SWAP_API_KEY"
"""Variable with the endpoint's own key."""
KEY_PREFIX = "sk-"
"""How a consumer's key begins."""
KEY_LINE = r"sha256:([0-9a-f]{64}) (\d{4}-\d\d-\d\d)"
"""Pattern of a line of a consumer's entry: the hash of a key, and since when it is valid."""
MOST_KEYS = 2
"""Valid keys of one consumer: the present one and its successor."""
KEYS_ANNOTATION = "llama-cpp-infra/keys-sha256"
"""Annotation of the Secret: the sha256 of its data as `ops gateway keys` wrote it."""


def deployment_id(pool: str, model: str) -> str:
    """Return LiteLLM's id for a model in a pool, where there are several pools."""
    return f"{pool}/{model}"
