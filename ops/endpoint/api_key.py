"""The key of the endpoint: from the environment, never from an argument, never shown."""

from __future__ import annotations

import os
import re

from ops.errors import OpsError

KEY_VARIABLE = "LLAMA_API_KEY"
"""The variable that holds it; llama-server's own name for it."""
_KEY = re.compile(r"[\x21-\x7e]+")


def api_key() -> str:
    """The key; empty: none."""
    return os.environ.get(KEY_VARIABLE, "")


def check_key(key: str, variable: str) -> str:
    """Return a key that a header can carry.

    Args:
        key: The key, which is not shown.
        variable: Where it was read from.

    Raises:
        OpsError: when no header can carry it.
    """
    if not _KEY.fullmatch(key):
        raise OpsError(
            f"{variable} holds a blank, a line end or a letter outside ASCII, which no header can "
            "carry; set it without"
        )
    return key


def authorization(key: str | None = None) -> dict[str, str]:
    """The header that carries a key (default: the environment's); empty without one."""
    key = api_key() if key is None else key
    return {"Authorization": f"Bearer {key}"} if key else {}
