"""Whether an endpoint asks for a key; an answer that does not show it is an error."""

from __future__ import annotations

from ops.endpoint.client import CHAT, Endpoint
from ops.endpoint.errors import CheckError

NO_MODEL = "no-such-model"
"""A model that no endpoint has: a question to it loads nothing."""


def refuses(endpoint: Endpoint, key: str, *, timeout_s: float) -> bool:
    """Whether the endpoint refuses a question with this key.

    Args:
        endpoint: The endpoint.
        key: The key; "" for none.
        timeout_s: Seconds for the answer.

    Raises:
        CheckError: when no answer arrives, or it does not show it.
    """
    body = {"model": NO_MODEL, "messages": []}
    return endpoint.post(CHAT, body, timeout_s=timeout_s, key=key).refuses_key


def asks_for_key(endpoint: Endpoint, *, timeout_s: float) -> bool:
    """Whether the endpoint refuses its list of models and a question without a key.

    Args:
        endpoint: The endpoint.
        timeout_s: Seconds for one answer.

    Raises:
        CheckError: when an answer does not show it, or only one of the two is refused.
    """
    of_list = endpoint.get("/v1/models", timeout_s=timeout_s, key="").refuses_key
    of_question = refuses(endpoint, "", timeout_s=timeout_s)
    if of_list is not of_question:
        names = ("GET /v1/models", f"POST {CHAT}")
        asks, open_ = names if of_list else names[::-1]
        raise CheckError(f"{asks} asks for a key, and {open_} does not; expected both or neither")
    return of_list
