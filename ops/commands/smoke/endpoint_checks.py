"""Checks of the endpoint itself; none loads a model."""

from __future__ import annotations

from collections.abc import Collection

from llama_swap_config.front_ends.front_end import FrontEnd
from ops.endpoint.api_key import KEY_VARIABLE
from ops.endpoint.client import CHAT, Answer, Endpoint, at, excerpt
from ops.endpoint.errors import CheckError
from ops.endpoint.key_check import NO_MODEL, asks_for_key, refuses

_WRONG_KEY = "smoke-wrong-key"
_SETTING = "api_key_env in stacks/production.py"


def reachable(endpoint: Endpoint, *, timeout_s: float) -> None:
    """The front end must answer GET /health."""
    try:
        answer = endpoint.get("/health", timeout_s=timeout_s)
    except CheckError as failed:
        raise CheckError(str(failed), ends="endpoint") from failed
    if answer.status != 200:
        hint = "; --consumer asks a gateway" if answer.status == 403 else ""
        raise CheckError(f"GET /health: {answer.failure()}{hint}", ends="endpoint")


def models(
    endpoint: Endpoint,
    wanted: Collection[str],
    *,
    whose: str,
    timeout_s: float,
) -> None:
    """The model list must hold exactly these models.

    Args:
        endpoint: The endpoint.
        wanted: Their ids.
        whose: Where the error misses the others.
        timeout_s: Seconds for the answer.

    Raises:
        CheckError: naming the missing and the extra models.
    """
    offered = _offered(endpoint.get("/v1/models", timeout_s=timeout_s))
    missing = [model for model in wanted if model not in offered]
    extra = [model for model in offered if model not in wanted]
    problems = [
        f"{problem}: {', '.join(map(excerpt, names))}"
        for problem, names in (("missing", missing), (f"not {whose}", extra))
        if names
    ]
    if problems:
        raise CheckError("; ".join(problems))


def _offered(answer: Answer) -> list[str]:
    """Return the model ids of an answer to GET /v1/models.

    Raises:
        CheckError: when the answer does not contain the list.
    """
    document = answer.document()
    entries = at(document, "data")
    ids = [at(entry, "id") for entry in entries] if isinstance(entries, list) else [None]
    names = [name for name in ids if isinstance(name, str)]
    if len(names) != len(ids):
        raise CheckError(f"the answer has no data[].id: {excerpt(document)}")
    return names


def key(
    endpoint: Endpoint,
    front_end: FrontEnd | None,
    *,
    declared: bool,
    timeout_s: float,
    not_recognised: str = "",
) -> str | None:
    """The endpoint must require a key exactly when one is declared, and accept only that key.

    The requests name a model that does not exist, so none of them loads a model.

    Args:
        endpoint: The endpoint.
        front_end: The front end; None: perhaps a gateway, whose own key no setting declares.
        declared: Whether the settings declare a key.
        timeout_s: Seconds for one answer.
        not_recognised: Why it is not known which front end answers (default: it is known).

    Returns:
        A note for the report, or None if the endpoint requires a key.

    Raises:
        CheckError: when key and declaration do not match, or the answer does not show it.
    """
    if not asks_for_key(endpoint, timeout_s=timeout_s):
        if declared:
            raise CheckError(
                f"the endpoint does not require a key; expected one, because {_SETTING} declares "
                "it. Deploy the settings, or remove the declaration"
            )
        return "no key is declared, and the endpoint requires none"
    if not endpoint.key:
        raise CheckError(f"the endpoint requires a key; set {KEY_VARIABLE}", ends="endpoint")
    if refuses(endpoint, endpoint.key, timeout_s=timeout_s):
        raise CheckError(f"the endpoint rejects the key in {KEY_VARIABLE}", ends="endpoint")
    if not refuses(endpoint, _WRONG_KEY, timeout_s=timeout_s):
        raise CheckError("the endpoint accepts a wrong key; expected status 401")
    if not_recognised and not declared:
        raise CheckError(
            "the endpoint requires a key that no setting declares; whether it is a gateway, which "
            f"may, is not known: {not_recognised}"
        )
    if front_end is not None and not declared:
        raise CheckError(
            f"the endpoint requires a key; expected none, because {_SETTING} declares none. "
            "Declare the key, or deploy the settings"
        )
    return None


def unknown_model(endpoint: Endpoint, front_end: FrontEnd | None, *, timeout_s: float) -> None:
    """A request for an unknown model must be answered with a client error."""
    expected = (400, 404) if front_end is None else front_end.unknown_model_statuses
    body = {
        "model": NO_MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    }
    answer = endpoint.post(CHAT, body, timeout_s=timeout_s)
    if answer.status not in expected:
        statuses = " or ".join(map(str, expected))
        raise CheckError(f"expected status {statuses}; got {answer.failure()}")
