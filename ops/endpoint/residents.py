"""Read which models are loaded, without loading one, and restore that state later."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEnd, Started
from ops.endpoint.client import CHAT, Answer, Endpoint, parsed
from ops.endpoint.errors import CheckError

_TIMEOUT_S = 30
"""Longer than llama-swap's unloadTimeout, which this repository sets to 10 s."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """The front end of an endpoint and the models that it has loaded."""

    front_end: FrontEnd | None = None
    """None: not recognised, perhaps a gateway; the loaded models are unknown."""
    loaded: tuple[str, ...] = ()
    """Models that are loaded or loading; a sleeping model holds no memory and does not count."""
    not_known: str = ""
    """Why no front end could be recognised; empty if every question was answered."""


def find(endpoint: Endpoint, *, timeout_s: float) -> Residents:
    """Recognise the front end and read which models are loaded.

    Args:
        endpoint: The endpoint.
        timeout_s: Seconds for one answer.
    """
    try:
        for front_end in FRONT_ENDS.values():
            answer = endpoint.get(front_end.residents_path, timeout_s=timeout_s)
            loaded = front_end.loaded(parsed(answer.text))
            if loaded is not None:
                return Residents(front_end=front_end, loaded=loaded)
    except CheckError as error:  # The next check reports it.
        return Residents(not_known=str(error))
    return Residents()


def started(
    endpoint: Endpoint, front_end: FrontEnd | None, model: str, *, timeout_s: float
) -> Started | None:
    """Describe the llama-server of a model; None where the endpoint does not describe it.

    Args:
        endpoint: The endpoint.
        front_end: Its front end; None: not recognised.
        model: The model's id.
        timeout_s: Seconds for the answer.

    Raises:
        CheckError: when no complete answer arrives in time.
    """
    if front_end is None:
        return None
    answer = endpoint.get(front_end.residents_path, timeout_s=timeout_s)
    servers = front_end.started(parsed(answer.text)) or ()
    return next((server for server in servers if server.model == model), None)


def restore(
    endpoint: Endpoint, before: Residents, used: Collection[str], *, timeout_s: float
) -> None:
    """Unload the models that this run loaded, and reload the models that it evicted.

    A model that this run did not use was loaded by somebody else and stays.

    Args:
        endpoint: The endpoint.
        before: The state to restore.
        used: The models that this run sent requests to.
        timeout_s: Seconds for one load.

    Raises:
        CheckError: when the front end is not recognised, or refuses a load or an unload.
    """
    after = find(endpoint, timeout_s=_TIMEOUT_S)
    if before.front_end is None or after.front_end is None:
        raise CheckError(
            "cannot tell which models are loaded: neither llama-swap nor llama-server's router "
            "answers"
        )
    for model in after.loaded:
        if model in used and model not in before.loaded:
            _unload(endpoint, after.front_end, model)
    for model in before.loaded:
        if model not in after.loaded:
            messages = [{"role": "user", "content": "Hello"}]
            body = {"model": model, "messages": messages, "max_tokens": 1}
            _check(endpoint.post(CHAT, body, timeout_s=timeout_s), f"{model} did not reload")


def _unload(endpoint: Endpoint, front_end: FrontEnd, model: str) -> None:
    path, body = front_end.unload(model)
    answer = endpoint.post(path, body, timeout_s=_TIMEOUT_S)
    _check(answer, f"{model} was not unloaded")
    # llama-server's router answers before the model's process has ended.
    deadline = time.monotonic() + _TIMEOUT_S
    while model in find(endpoint, timeout_s=_TIMEOUT_S).loaded:
        if time.monotonic() > deadline:
            raise CheckError(f"{model} is still loaded {_TIMEOUT_S} s after the unload request")
        time.sleep(_POLL_S)


def _check(answer: Answer, problem: str) -> None:
    if answer.status != 200:
        raise CheckError(f"{problem} ({answer.failure()})")
