"""The key of the endpoint: from the environment, never from an argument, never shown."""

from __future__ import annotations

import os

KEY_VARIABLE = "LLAMA_API_KEY"
"""The variable that holds it; llama-server's own name for it."""


def api_key() -> str:
    """The key; empty: none."""
    return os.environ.get(KEY_VARIABLE, "")


def authorization(key: str | None = None) -> dict[str, str]:
    """The header that carries a key (default: the environment's); empty without one."""
    key = api_key() if key is None else key
    return {"Authorization": f"Bearer {key}"} if key else {}
