"""The differences between the front ends, one table each, so that tests contain none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llama_swap_config.front_ends.front_end import FrontEndName


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The answers of one front end where the two differ."""

    paths: Mapping[str, int]
    """GET of a path that needs no model, with the status of its answer."""
    open_paths: Mapping[str, int]
    """The same without a key, at an endpoint that requires one."""
    changing_paths: tuple[str, ...]
    """GET of one of these loads `{model}` or unloads what is loaded."""
    state_path: str
    residents: Callable[[Any], dict[str, str]]
    """Reads the answer of `state_path`: model -> state, for loaded models only."""
    ready: str
    """The state of a model that answers."""
    idle: str | None
    """The state of a model after its idle time; None: it is no longer listed."""
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
    """A header with the right key `{key}` or `{basic}`, and the status of a model's answer."""
    keys_of_pages: Mapping[str, int]
    """The same for the list of models."""
    eleven_at_once: Mapping[int, int]
    """Status -> count, for eleven concurrent requests to one model."""
    refused_in_a_crowd: str | None
    """The answer to a request whose model ended while it was forwarded; None: impossible."""
    keeps_connections: bool
    """Whether a connection can be reused after a model's answer."""
    load_failed: str
    notices_leavers: bool
    """Whether a model stops when a client without a stream disconnects."""
    killed: int
    """Status of a request whose llama-server was killed."""
    after_a_kill: frozenset[int]
    """The answers that the next request may get; a later request is answered."""
    cut_short: str
    """The last line of a stream whose llama-server was killed."""
    drains: bool
    """Whether a stream may finish after SIGTERM."""


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
        changing_paths=(
            "/unload", "/upstream/{model}/health", "/upstream/{model}/metrics",
            "/upstream/{model}/", "/props?model={model}", "/v1/audio/voices?model={model}",
            "/sdapi/v1/loras?model={model}",
        ),
        state_path="/running",
        residents=lambda body: {model["model"]: model["state"] for model in body["running"]},
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
            "Authorization: Bearer {key}": 200, "Authorization: bearer {key}": 401,
            "Authorization: {key}": 401, _BASIC: 401, "x-api-key: {key}": 200,
        },
        keys_of_pages={
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
        changing_paths=(
            "/metrics?model={model}", "/slots?model={model}", "/props?model={model}",
            "/lora-adapters?model={model}",
        ),
        state_path="/models",
        residents=lambda body: {
            model["id"]: model["status"]["value"]
            for model in body["data"]
            if model["status"]["value"] != "unloaded"
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
        keys_of_pages={
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
