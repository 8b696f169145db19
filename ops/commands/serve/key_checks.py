"""Whether the front end on this machine asks for the keys that it was started with."""

from __future__ import annotations

from pathlib import Path

from ops.commands.serve.served_keys import ServedKey
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.endpoint.key_check import asks_for_key, refuses
from ops.errors import OpsError

_TIMEOUT_S = 10
_WRONG_KEY = "serve-wrong-key"


def check_keys(url: str, key: ServedKey | None, *, log: Path) -> None:
    """Require that it asks for a key exactly if it has one, and accepts no other.

    Args:
        url: Its address.
        key: One of its keys; None: it has none.
        log: Its log, which an error names.

    Raises:
        OpsError: when it does not, or its answers do not show it.
    """
    try:
        with Endpoint(url) as endpoint:
            _check(endpoint, key)
    except CheckError as error:
        raise OpsError(f"the front end at {url} {error}; see its log {log}") from error


def _check(endpoint: Endpoint, key: ServedKey | None) -> None:
    if asks_for_key(endpoint, timeout_s=_TIMEOUT_S) is not (key is not None):
        raise CheckError(
            "asks for a key; expected none, because none is declared or set"
            if key is None
            else f"asks for no key; expected that of {key.variable}"
        )
    if key is None:
        return
    if refuses(endpoint, key.read(), timeout_s=_TIMEOUT_S):
        raise CheckError(f"refuses the key of {key.variable}")
    if not refuses(endpoint, _WRONG_KEY, timeout_s=_TIMEOUT_S):
        raise CheckError("accepts a wrong key")
