"""The endpoint's API key: read from the environment, never an argument, never shown."""

from __future__ import annotations

import os
import re

from ops.errors import OpsError

KEY_VARIABLE = "LLAMA_API_KEY"
"""The environment variable that holds the key; llama-server uses the same name."""
_KEY = re.compile(r"[\x21-\x7e]+")


def api_key() -> str:
    """Return the key, or an empty string if the variable is not set."""
    return os.environ.get(KEY_VARIABLE, "")


def check_key(key: str, variable: str) -> str:
    """Return the key if an HTTP header can carry it.

    Args:
        key: The key; errors do not show it.
        variable: The environment variable that holds it.

    Raises:
        OpsError: when the key is empty or contains whitespace or a non-ASCII character.
    """
    if not _KEY.fullmatch(key):
        raise OpsError(
            f"{variable} contains whitespace or a non-ASCII character; expected a key that an "
            "HTTP header can carry. Correct it"
        )
    return key


def authorization(key: str | None = None) -> dict[str, str]:
    """Return the header that carries a key (default: LLAMA_API_KEY); empty without a key."""
    key = api_key() if key is None else key
    return {"Authorization": f"Bearer {key}"} if key else {}
