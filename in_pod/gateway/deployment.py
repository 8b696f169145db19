"""Which of a model's deployments LiteLLM may use: the one in the pool that admitted the request.

LiteLLM asks for a list before each attempt, so its own `order` never leads a request into a pool
that has not admitted it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .contract import deployment_id

_ADMITTED: ContextVar[str | None] = ContextVar("gateway_pool", default=None)
ONE_ATTEMPT: Mapping[str, Any] = {"disable_fallbacks": True, "num_retries": 0}
"""Fields by which LiteLLM answers with the pool's own error, not that none is left to try.

It would also retry a 429 without a pause, because the model has another deployment."""


@contextmanager
def admitted_by(pool: str) -> Iterator[None]:
    """Let LiteLLM use one pool while the context lasts, also in tasks that it starts.

    Args:
        pool: Its name.
    """
    token = _ADMITTED.set(pool)
    try:
        yield
    finally:
        _ADMITTED.reset(token)


def admitted(deployments: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those that the present request may use: all where no pool was asked."""
    pool = _ADMITTED.get()
    return [
        it
        for it in deployments
        if pool is None or it["model_info"].get("id") == deployment_id(pool, it["model_name"])
    ]
