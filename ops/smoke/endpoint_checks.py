"""What is asked of the endpoint itself; none of it loads a model."""

from __future__ import annotations

from collections.abc import Collection

from llama_swap_config.front_end import FrontEnd
from ops.api_key import KEY_VARIABLE
from ops.smoke.endpoint import Answer, Endpoint, at, excerpt
from ops.smoke.model_checks import CHAT
from ops.smoke.outcome import CheckError, SkippedError

_NO_MODEL = "no-such-model"
_WRONG_KEY = "smoke-wrong-key"
_REFUSED = (401, 403)


def reachable(endpoint: Endpoint, *, timeout_s: float) -> None:
    """The front end is alive."""
    try:
        answer = endpoint.get("/health", timeout_s=timeout_s)
    except CheckError as failed:
        raise CheckError(str(failed), ends="endpoint") from failed
    if answer.status != 200:
        raise CheckError(f"GET /health: {answer.failure()}", ends="endpoint")


def models(endpoint: Endpoint, wanted: Collection[str], *, timeout_s: float) -> None:
    """The endpoint offers the models of the registry and no others.

    Raises:
        CheckError: naming what is missing and what is extra.
    """
    answer = endpoint.get("/v1/models", timeout_s=timeout_s)
    if answer.status in _REFUSED:
        raise SkippedError("the endpoint refuses to list them without its key")
    offered = _offered(answer)
    missing = [each for each in wanted if each not in offered]
    extra = [each for each in offered if each not in wanted]
    parts = [
        f"{what} {', '.join(map(excerpt, names))}"
        for what, names in (("missing", missing), ("not in the registry", extra))
        if names
    ]
    if parts:
        raise CheckError("; ".join(parts))


def _offered(answer: Answer) -> list[str]:
    """Read the ids of GET /v1/models.

    Raises:
        CheckError: when the answer holds no such list.
    """
    document = answer.document()
    entries = at(document, "data")
    ids = [at(each, "id") for each in entries] if isinstance(entries, list) else [None]
    names = [each for each in ids if isinstance(each, str)]
    if len(names) != len(ids):
        raise CheckError(f"answers JSON without data[].id: {excerpt(document)}")
    return names


def key(endpoint: Endpoint, *, timeout_s: float) -> None:
    """An endpoint with keys takes the right one and no other.

    Each question names a model that is not there, so nothing loads whatever the answer.
    """

    def ask(with_key: str) -> int:
        body = {"model": _NO_MODEL, "messages": []}
        return endpoint.post(CHAT, body, timeout_s=timeout_s, key=with_key).status

    if ask("") not in _REFUSED:
        raise SkippedError("the endpoint asks for no key")
    if not endpoint.key:
        raise CheckError(f"the endpoint asks for a key; set {KEY_VARIABLE}", ends="endpoint")
    status = ask(endpoint.key)
    if status in _REFUSED:
        raise CheckError(
            f"the endpoint refuses the key of {KEY_VARIABLE} (status {status})", ends="endpoint"
        )
    status = ask(_WRONG_KEY)
    if status != 401:
        raise CheckError(f"a wrong key is answered with status {status}, not 401")


def unknown_model(endpoint: Endpoint, front_end: FrontEnd | None, *, timeout_s: float) -> None:
    """A model that is not there is an error of the one who asks."""
    # llama-server's router answers 400.
    allowed = (404,) if front_end == "llama-swap" else (400, 404)
    body = {
        "model": _NO_MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    }
    answer = endpoint.post(CHAT, body, timeout_s=timeout_s)
    if answer.status not in allowed:
        expected = " or ".join(map(str, allowed))
        raise CheckError(f"expected {expected}; {answer.failure()}")
