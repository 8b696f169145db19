"""Which models are loaded, and how to bring that back; asking for it loads nothing."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEnd
from ops.endpoint.client import CHAT, Answer, Endpoint, parsed
from ops.endpoint.errors import CheckError

_TIMEOUT_S = 30
"""An unload may take llama-swap's unloadTimeout, 10 s as this repository sets it."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """What stands in front of the models, and which of them are loaded."""

    front_end: FrontEnd | None = None
    """None: neither is recognised, a gateway perhaps, and what is loaded is not known."""
    loaded: tuple[str, ...] = ()
    """Loaded or about to be; a sleeping one holds no memory and does not count."""


def find(endpoint: Endpoint, *, timeout_s: float) -> Residents:
    """Tell the front ends apart and see what is loaded.

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
    except CheckError:  # The next check says so.
        pass
    return Residents()


def bring_back(
    endpoint: Endpoint, before: Residents, asked: Collection[str], *, timeout_s: float
) -> None:
    """Unload what was loaded meanwhile, and load again what had to go.

    A model that was never asked is somebody else's by now and stays.

    Args:
        endpoint: The endpoint.
        before: What was found.
        asked: The models that were asked meanwhile.
        timeout_s: Seconds for one load.

    Raises:
        CheckError: when the front end is not recognised, or refuses.
    """
    after = find(endpoint, timeout_s=_TIMEOUT_S)
    if before.front_end is None or after.front_end is None:
        raise CheckError(
            "what is loaded cannot be seen: neither llama-swap nor llama-server's router answers"
        )
    for model in after.loaded:
        if model in asked and model not in before.loaded:
            _unload(endpoint, after.front_end, model)
    for model in before.loaded:
        if model not in after.loaded:
            messages = [{"role": "user", "content": "Hello"}]
            body = {"model": model, "messages": messages, "max_tokens": 1}
            _check(endpoint.post(CHAT, body, timeout_s=timeout_s), f"{model} does not load again")


def _unload(endpoint: Endpoint, front_end: FrontEnd, model: str) -> None:
    path, body = front_end.unload(model)
    answer = endpoint.post(path, body, timeout_s=_TIMEOUT_S)
    _check(answer, f"{model} is not unloaded")
    # llama-server's router answers before its model has gone.
    deadline = time.monotonic() + _TIMEOUT_S
    while model in find(endpoint, timeout_s=_TIMEOUT_S).loaded:
        if time.monotonic() > deadline:
            raise CheckError(f"{model} is still loaded {_TIMEOUT_S} s after its unload")
        time.sleep(_POLL_S)


def _check(answer: Answer, what: str) -> None:
    if answer.status != 200:
        raise CheckError(f"{what} ({answer.failure()})")
