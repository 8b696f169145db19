"""The checks in front of LiteLLM's app: whatever they refuse, LiteLLM never parses."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from . import pictures, request_body
from .asgi_types import App, Receive, Scope, Send
from .deployment import ONE_ATTEMPT, admitted_by
from .first_answer import estimate
from .keys import Keys
from .limits import Limits
from .native import Native
from .paths import ESTIMATES, MODEL_LISTS, answerer
from .policy import Policy
from .refusal import RefusedError
from .responses import send_answer, send_refusal

CONSUMER = "gateway.consumer"
"""Key of the ASGI scope under which the checks leave the consumer's name for `custom_auth`."""
_PASSED_HEADERS = (b"host", b"accept")
"""What LiteLLM sees of a client's headers. It takes orders from others, such as x-litellm-timeout
and x-litellm-tags, would log a key, and answers every Origin."""
_PASSED_QUERY = (b"", b"beta=true")
"""Anthropic's SDK adds the second one. LiteLLM lets `?model=` replace the body's model."""
_CONTROL_PREFIXES = ("litellm_", "_", "mock_", "user_api_key")
_SHOWN = 80

Forward = Callable[[str, Send], Awaitable[None]]
"""Passes a request on to a pool."""
Admit = Callable[[str, str, Forward, Send], Awaitable[None]]


class Checks:
    """An ASGI middleware: path, key, body, model, pictures, admission, in this order."""

    def __init__(
        self,
        app: App,
        *,
        policy: Policy,
        keys: Keys,
        natives: Mapping[str, Native],
        fetch: pictures.Fetch,
        admit: Admit,
        control_fields: Collection[str],
    ) -> None:
        """Wrap an app.

        Args:
            app: LiteLLM's.
            policy: Who may ask what.
            keys: Whose request it is.
            natives: Pool -> what answers llama-server's own paths there.
            fetch: Fetches the address of a picture.
            admit: Passes on a consumer's request to a model, or refuses it; may pass it on
                several times.
            control_fields: Fields of a body that LiteLLM itself obeys.
        """
        self._app = app
        self._policy = policy
        self._keys = keys
        self._limits = Limits(policy.consumers)
        self._natives = natives
        self._fetch = fetch
        self._admit = admit
        self._control_fields = frozenset(control_fields)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, pass it on or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # The server logs it, and it may be a key.
        query, scope["query_string"] = scope["query_string"], b""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            await self._http(scope, query, receive, send)
        except RefusedError as refusal:
            await send_refusal(refusal, scope["path"], send)
        except request_body.ClientGoneError:
            return

    async def _http(self, scope: Scope, query: bytes, receive: Receive, send: Send) -> None:
        path = scope["path"]
        who = answerer(scope["method"], path)
        if who is None:
            raise RefusedError(
                403,
                "path_not_served",
                f"the gateway does not serve {scope['method']} {_short(path)}; expected a path "
                "such as POST /v1/chat/completions. Check the client's base URL",
            )
        if who == "anyone":
            await self._app({**scope, "headers": _passed(scope)}, receive, send)
            return
        name = self._consumer(scope)
        if who == "gateway":
            await send_answer(200, json.dumps(self._models(name, path)).encode(), send)
            return
        if query not in _PASSED_QUERY:
            raise RefusedError(
                403,
                "query_not_allowed",
                "the address has a query; expected none: key and model stand in header and body",
            )
        with self._limits.request(name):
            raw = await request_body.read(receive, dict(scope["headers"]))
            body = request_body.parse(raw)
            model, changed = self._model(name, body.get("model")), False
            if who == "litellm":
                changed = self._without_control(body)
            changed |= body["model"] != model
            body["model"] = model
            homes = self._policy.models[model].homes
            if who == "litellm" and len(homes) > 1:
                body, changed = {**body, **ONE_ATTEMPT}, True
            consumer = self._policy.consumers[name]
            fetch = self._fetch if consumer.remote_images else None
            changed |= await pictures.bound(body, self._policy.pictures, fetch)
            if changed:
                raw = request_body.write(body)

            async def forward(pool: str, send: Send) -> None:
                if who == "llama.cpp":
                    await self._natives[pool].forward(path, model, raw, receive, send)
                    return
                passed = {**scope, CONSUMER: name, "headers": _with_body(scope, raw)}
                with admitted_by(pool):
                    await self._app(passed, _replay(raw, receive), send)

            if path in ESTIMATES:
                await estimate(homes, forward, send)
            else:
                await self._admit(name, model, forward, send)

    def _consumer(self, scope: Scope) -> str:
        """Return whose key the request has."""
        found = set()
        for header, value in scope["headers"]:
            if header == b"authorization":
                scheme, _, key = value.partition(b" ")
                found.add(key.strip() if scheme.lower() == b"bearer" else b"")
            elif header == b"x-api-key":
                found.add(value)
        if len(found) != 1:
            raise RefusedError(
                401,
                "key_missing" if not found else "key_ambiguous",
                f"the request has {'several keys' if found else 'no key'}; expected one, as "
                "'Authorization: Bearer <key>' or 'x-api-key: <key>'",
            )
        name = self._keys.consumer_of(found.pop().decode("latin-1"))
        if name is None:
            raise RefusedError(
                401, "key_unknown", "the key belongs to no consumer; expected a valid one"
            )
        return name

    def _model(self, name: str, wanted: object) -> str:
        """Return the id of a model that a consumer may use."""
        allowed = self._policy.consumers[name].models
        model = self._policy.model_id(wanted)
        if model in allowed:
            return model
        if wanted is None:
            raise RefusedError(
                400,
                "model_missing",
                f"the body has no model; expected one of {', '.join(allowed)}",
            )
        shown, expected = _short(wanted), f"expected one of {', '.join(allowed)}"
        # LiteLLM would send a request for 'a,b' to both.
        if model is None and isinstance(wanted, str) and "," not in wanted:
            raise RefusedError(404, "model_not_found", f"model {shown} does not exist; {expected}")
        raise RefusedError(
            403, "model_not_allowed", f"{name} may not use model {shown}; {expected}"
        )

    def _models(self, name: str, path: str) -> dict[str, Any]:
        models = [
            {"id": model, "object": "model", "created": 0, "owned_by": "llama.cpp"}
            for model in self._policy.consumers[name].models
        ]
        if path in MODEL_LISTS:
            return {"object": "list", "data": models}
        model = self._model(name, path.split("models/", 1)[1])
        return next(each for each in models if each["id"] == model)

    def _without_control(self, body: dict[str, Any]) -> bool:
        """Refuse fields by which a client would command LiteLLM; return whether one was dropped.

        LiteLLM drops `metadata` before the endpoint, and obeys what stands in it.
        """
        for field in body.keys() - {"metadata"}:
            if field in self._control_fields or field.startswith(_CONTROL_PREFIXES):
                raise RefusedError(
                    403,
                    "field_not_allowed",
                    f"the body has the field {_short(field)}, which LiteLLM would obey; remove it",
                )
        return body.pop("metadata", None) is not None


def _passed(scope: Scope) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name in _PASSED_HEADERS]


def _with_body(scope: Scope, body: bytes) -> list[tuple[bytes, bytes]]:
    return [
        *_passed(scope),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with a body which was read already."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Any:
        return pending.pop() if pending else await receive()

    return replayed


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
