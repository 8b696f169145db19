"""What passes the gateway: each path, its method and who answers it. Nothing else does."""

from __future__ import annotations

from typing import Literal

Answerer = Literal["anyone", "gateway", "litellm", "llama.cpp"]
"""Who answers: LiteLLM without a key, the gateway itself, LiteLLM, or the endpoint as it is."""

MODEL_LISTS = ("/v1/models", "/models")
_OPEN = (
    "/health/liveliness", "/health/liveness", "/health/readiness", "/metrics", "/metrics/",
)  # fmt: skip
ESTIMATES = ("/v1/messages/count_tokens",)
"""What LiteLLM answers without the endpoint."""
_LITELLM = (
    *("/v1/chat/completions", "/chat/completions", "/v1/completions", "/completions"),
    *("/v1/responses", "/responses", "/v1/embeddings", "/embeddings"),
    "/v1/messages",
    *ESTIMATES,
)
_LLAMA_CPP = {
    **dict.fromkeys(("/completion", "/infill"), True),
    **dict.fromkeys(("/rerank", "/v1/rerank", "/reranking", "/v1/reranking"), True),
    **dict.fromkeys(("/tokenize", "/detokenize", "/apply-template"), False),
}
"""Paths of llama-server that LiteLLM does not have -> whether llama-swap routes them."""


def answerer(method: str, path: str) -> Answerer | None:
    """Return who answers a request; None: nobody, it is refused.

    Args:
        method: The HTTP method.
        path: The decoded path, compared as it is: LiteLLM's router decodes it alike.
    """
    if method in ("GET", "HEAD"):
        if path in _OPEN:
            return "anyone"
        lists = any(path == where or path.startswith(f"{where}/") for where in MODEL_LISTS)
        return "gateway" if lists else None
    if method != "POST":
        return None
    if path in _LITELLM:
        return "litellm"
    return "llama.cpp" if path in _LLAMA_CPP else None


def endpoint_path(path: str, model: str, front_end: str) -> str:
    """Return where the endpoint answers one of llama-server's own paths.

    Args:
        path: The request's path.
        model: The id of its model.
        front_end: `llama-swap` or `llama-server`.
    """
    if front_end == "llama-swap" and not _LLAMA_CPP[path]:
        return f"/upstream/{model}{path}"
    return path
