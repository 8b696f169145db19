"""Checks of a gateway as one of its consumers; none loads a model."""

from __future__ import annotations

from collections.abc import Collection

from llama_swap_config.gateway.consumer import Consumer
from ops.endpoint.api_key import KEY_VARIABLE
from ops.endpoint.client import CHAT, Answer, Endpoint
from ops.endpoint.errors import CheckError
from ops.endpoint.key_check import NO_MODEL, asks_for_key, refuses

_WRONG_KEY = "sk-smoke-wrong-key"
_CLOSED = (401, 403, 404)
_ADMIN_PATHS = (
    "/model/info", "/v1/model/info", "/key/list", "/user/list", "/team/list", "/spend/logs",
    "/get/config/callbacks", "/routes", "/openapi.json", "/docs", "/", "/running", "/logs",
    # The last, as LiteLLM's own answer to it asks every model.
    "/health",
)  # fmt: skip
"""Paths of LiteLLM and llama-swap that no consumer needs; reading them changes nothing."""


def reachable(endpoint: Endpoint, *, timeout_s: float) -> None:
    """LiteLLM must answer its probe, which touches no model."""
    try:
        answer = endpoint.get("/health/liveliness", timeout_s=timeout_s)
    except CheckError as failed:
        raise CheckError(str(failed), ends="endpoint") from failed
    if answer.status != 200:
        raise CheckError(f"GET /health/liveliness: {answer.failure()}", ends="endpoint")


def key(endpoint: Endpoint, consumer: Consumer, *, timeout_s: float) -> None:
    """The gateway must refuse no key and a wrong one, and accept the consumer's."""
    if not asks_for_key(endpoint, timeout_s=timeout_s):
        raise CheckError(
            "the gateway requires no key: it does not run this repository's hooks. See "
            "docs/gateway.md",
            ends="endpoint",
        )
    if not refuses(endpoint, _WRONG_KEY, timeout_s=timeout_s):
        raise CheckError("the gateway accepts a wrong key; expected status 401", ends="endpoint")
    if refuses(endpoint, endpoint.key, timeout_s=timeout_s):
        raise CheckError(
            f"the gateway rejects the key in {KEY_VARIABLE}; expected one of {consumer.name}. "
            "`python -m ops gateway keys` lists them; the gateway takes a new one within two "
            "minutes",
            ends="endpoint",
        )


def other_model(
    endpoint: Endpoint, consumer: Consumer, registry: Collection[str], *, timeout_s: float
) -> str | None:
    """A model of the registry that the consumer may not use must be refused.

    Returns:
        A note if there is none.
    """
    others = [model for model in registry if model not in consumer.models]
    for model in others:
        _expect(403, _ask(endpoint, model, timeout_s=timeout_s), f"model {model}")
    return None if others else "it may use every model"


def unknown_model(endpoint: Endpoint, *, timeout_s: float) -> None:
    """A model that nobody has must be unknown."""
    _expect(404, _ask(endpoint, NO_MODEL, timeout_s=timeout_s), f"model {NO_MODEL}")


def admin(endpoint: Endpoint, *, timeout_s: float) -> None:
    """No path of an administrator may be open, neither with the consumer's key nor without."""
    for path in _ADMIN_PATHS:
        for sent, how in (("", "without a key"), (endpoint.key, "with the consumer's key")):
            answer = endpoint.get(path, timeout_s=timeout_s, key=sent)
            if answer.status not in _CLOSED:
                raise CheckError(
                    f"GET {path} {how} is status {answer.status}; expected "
                    f"{', '.join(map(str, _CLOSED[:-1]))} or {_CLOSED[-1]}. Let LiteLLM run this "
                    "repository's hooks, as docs/gateway.md says"
                )


def _ask(endpoint: Endpoint, model: str, *, timeout_s: float) -> Answer:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    }
    return endpoint.post(CHAT, body, timeout_s=timeout_s)


def _expect(status: int, answer: Answer, what: str) -> None:
    if answer.status != status:
        raise CheckError(f"{what}: expected status {status}; got {answer.failure()}")
