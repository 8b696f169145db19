"""What is asked of the endpoint itself; none of it loads a model."""

from __future__ import annotations

from collections.abc import Collection

from llama_swap_config.front_ends.front_end import FrontEnd
from ops.endpoint.api_key import KEY_VARIABLE
from ops.endpoint.client import CHAT, Answer, Endpoint, at, excerpt
from ops.endpoint.errors import CheckError

_NO_MODEL = "no-such-model"
_WRONG_KEY = "smoke-wrong-key"
_SETTINGS = "api_key_env in stacks/production.py"


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
    offered = _offered(endpoint.get("/v1/models", timeout_s=timeout_s))
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


def key(
    endpoint: Endpoint, front_end: FrontEnd | None, *, declared: bool, timeout_s: float
) -> str | None:
    """The endpoint asks for a key exactly when one is declared, and takes the right one alone.

    Each question names a model that is not there, so nothing loads whatever the answer.

    Args:
        endpoint: The endpoint.
        front_end: What answers; None: a gateway perhaps, whose own key no setting declares.
        declared: Whether the settings declare a key.
        timeout_s: Seconds for one answer.

    Returns:
        What is worth knowing; None where the endpoint asks for a key.

    Raises:
        CheckError: when it does not, or its answer does not tell.
    """

    def refused(with_key: str) -> bool:
        body = {"model": _NO_MODEL, "messages": []}
        return endpoint.post(CHAT, body, timeout_s=timeout_s, key=with_key).refuses_key

    if not refused(""):
        if declared:
            raise CheckError(
                f"the endpoint asks for no key; expected one, declared by {_SETTINGS}. Deploy "
                "the settings, or take the declaration out"
            )
        return "none is declared, and the endpoint asks for none"
    if not endpoint.key:
        raise CheckError(f"the endpoint asks for a key; set {KEY_VARIABLE}", ends="endpoint")
    if refused(endpoint.key):
        raise CheckError(f"the endpoint refuses the key of {KEY_VARIABLE}", ends="endpoint")
    if not refused(_WRONG_KEY):
        raise CheckError("the endpoint takes a wrong key; expected status 401")
    if front_end is not None and not declared:
        raise CheckError(
            f"the endpoint asks for a key; expected none, because nothing is declared by "
            f"{_SETTINGS}. Declare the key, or deploy the settings"
        )
    return None


def unknown_model(endpoint: Endpoint, front_end: FrontEnd | None, *, timeout_s: float) -> None:
    """A model that is not there is an error of the one who asks."""
    allowed = (400, 404) if front_end is None else front_end.unknown_model_statuses
    body = {
        "model": _NO_MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    }
    answer = endpoint.post(CHAT, body, timeout_s=timeout_s)
    if answer.status not in allowed:
        expected = " or ".join(map(str, allowed))
        raise CheckError(f"expected {expected}; {answer.failure()}")
