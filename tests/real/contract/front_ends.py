"""What differs between the two front ends: one table each, and nothing of it in the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llama_swap_config.front_ends.front_end import FrontEndName


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """How one front end answers where the two do not answer alike."""

    paths: Mapping[str, int]
    """GET of a path that needs no model, with the status of its answer."""
    open_paths: Mapping[str, int]
    """The same without a key, where the endpoint asks for one."""
    state_path: str
    residents: Callable[[Any], dict[str, str]]
    """Reads what `state_path` answers: model -> state, without those that are not loaded."""
    ready: str
    """The state of a model that answers."""
    idle: str | None
    """The state of a model whose idle time is over; None: it is not listed any more."""
    of_model: str
    """A path of one model's own llama-server; `{path}` is metrics, slots or props."""
    unload: str
    """POST here, with the model in the body, unloads one model."""
    unknown_to_unload: int
    unknown_model: int
    no_model: int
    no_content_type: int
    embeddings_aliases: int
    """POST /embeddings and /embedding on a model that embeds."""
    key_headers: Mapping[str, int]
    """A header with the right key `{key}` or `{basic}`, and the status of the answer."""
    eleven_at_once: Mapping[int, int]
    """Status -> how many of eleven requests at once to one model."""
    refused_in_a_crowd: str | None
    """What a request may get whose model went while it was handed on; None: that cannot be."""
    keeps_connections: bool
    """Whether a connection can be used again after an answer of a model."""
    load_failed: str
    notices_leavers: bool
    """Whether a model stops when a client leaves that did not ask for a stream."""
    killed: int
    """Status of a request whose llama-server was killed."""
    after_a_kill: frozenset[int]
    """What the very next request may get; a later one is answered."""
    cut_short: str
    """The last line of a stream whose llama-server was killed."""
    drains: bool
    """Whether SIGTERM lets a stream come to its end."""


_BASIC = "Authorization: Basic {basic}"

CONTRACTS: Mapping[FrontEndName, Contract] = {
    "llama-swap": Contract(
        paths={
            "/health": 200, "/wol-health": 200, "/v1/health": 404, "/v1/models": 200,
            "/models": 200, "/running": 200, "/metrics": 200, "/slots": 404, "/props": 404,
            "/tokenize": 404, "/": 302, "/nothing-here": 404, "/v1/chat/completions": 405,
        },
        open_paths={
            "/health": 200, "/wol-health": 200, "/": 302, "/nothing-here": 404, "/slots": 404,
            "/v1/models": 401, "/models": 401, "/running": 401, "/metrics": 401, "/props": 401,
            "/unload": 401, "/upstream/eyes/health": 401,
        },
        state_path="/running",
        residents=lambda body: {each["model"]: each["state"] for each in body["running"]},
        ready="ready",
        idle=None,
        of_model="/upstream/{model}/{path}",
        unload="/api/models/unload/{model}",
        unknown_to_unload=404,
        unknown_model=404,
        no_model=404,
        no_content_type=404,
        embeddings_aliases=404,
        key_headers={
            "Authorization: Bearer {key}": 200, "Authorization: bearer {key}": 200,
            "Authorization: {key}": 401, _BASIC: 200, "x-api-key: {key}": 200,
        },
        eleven_at_once={200: 10, 429: 1},
        refused_in_a_crowd=None,
        keeps_connections=True,
        load_failed="upstream command exited prematurely",
        notices_leavers=True,
        killed=502,
        after_a_kill=frozenset({200, 502}),
        cut_short="",
        drains=True,
    ),
    "llama-server": Contract(
        paths={
            "/health": 200, "/wol-health": 404, "/v1/health": 200, "/v1/models": 200,
            "/models": 200, "/running": 404, "/metrics": 400, "/slots": 400, "/props": 200,
            "/tokenize": 404, "/": 404, "/nothing-here": 404, "/v1/chat/completions": 404,
        },
        open_paths={
            "/health": 200, "/v1/health": 200, "/": 404, "/wol-health": 401,
            "/nothing-here": 401, "/slots": 401, "/v1/models": 401, "/models": 401,
            "/metrics": 401, "/props": 401,
        },
        state_path="/models",
        residents=lambda body: {
            each["id"]: each["status"]["value"]
            for each in body["data"]
            if each["status"]["value"] != "unloaded"
        },
        ready="loaded",
        idle="sleeping",
        of_model="/{path}?model={model}",
        unload="/models/unload",
        unknown_to_unload=400,
        unknown_model=400,
        no_model=400,
        no_content_type=200,
        embeddings_aliases=200,
        key_headers={
            "Authorization: Bearer {key}": 200, "Authorization: bearer {key}": 401,
            "Authorization: {key}": 200, _BASIC: 401, "x-api-key: {key}": 200,
        },
        eleven_at_once={200: 11},
        refused_in_a_crowd="is not running",
        keeps_connections=False,
        load_failed="failed to load",
        notices_leavers=False,
        killed=500,
        after_a_kill=frozenset({200, 500}),
        cut_short="proxy error: Failed to read connection",
        drains=False,
    ),
}  # fmt: skip
