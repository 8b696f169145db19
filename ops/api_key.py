"""The key of the endpoint: from the environment, never from an argument, never shown."""

from __future__ import annotations

import os

KEY_VARIABLE = "LLAMA_API_KEY"
"""The variable that holds it; llama-server's own name for it."""


def api_key() -> str:
    """The key; empty: none."""
    return os.environ.get(KEY_VARIABLE, "")


def authorization() -> dict[str, str]:
    """The header that carries it; empty: none is sent."""
    return {"Authorization": f"Bearer {api_key()}"} if api_key() else {}
