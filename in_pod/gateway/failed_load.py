"""Why a model could not be loaded, by what LiteLLM, the front end and its log say."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MEMORY = re.compile(
    r"out of memory|(?:unable|failed) to allocate|cudaMalloc failed|not enough memory", re.I
)
_LOG_CHARACTERS = 8_000
"""Of llama-server's last words, before llama-swap says that it ended."""
_SAID = (
    ("timeout", re.compile(r"health check timed out after \w+")),
    ("exit", re.compile(r"failed to start command|upstream command exited prematurely")),
    ("exit", re.compile(r"model name=\S+ failed to load")),
    ("ended", re.compile(r"model unloaded|model limit reached, try again later")),
    ("unreachable", re.compile(r"Connection error|Cannot connect to host")),
    # LiteLLM does not repeat what llama-swap v250 says, whose errors are strings.
    ("exit", re.compile(r"Error code: 500")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLoad:
    """A load that failed."""

    failure: str
    """`memory`, `timeout`, `exit`, `ended` by somebody, or `unreachable`."""
    reason: str
    """What was said, a clause."""


def failed_load(text: str) -> FailedLoad | None:
    """Return what a server error says of a load; None if it is about something else.

    Args:
        text: The body of an answer of LiteLLM, llama-swap or the router.
    """
    for failure, pattern in _SAID:
        if said := pattern.search(text):
            return FailedLoad(failure=failure, reason=said.group())
    return None


def logged_failure(model: str, log: str) -> FailedLoad | None:
    """Return what llama-swap's log says of a model's last load; None if that did not fail.

    Args:
        model: The id of the model.
        log: The log, whose end is the newest.
    """
    *_, last = (None, *re.finditer(rf"starting {re.escape(model)} failed: (.+)", log))
    if last is None:
        return None
    before = log[: last.start()][-_LOG_CHARACTERS:]
    found = failed_load(last[1])
    if memory := _MEMORY.search(before):
        return FailedLoad(failure="memory", reason=memory.group())
    # Whatever else it says may name paths and arguments.
    return found or FailedLoad(failure="exit", reason="the endpoint's log says why")
