"""The checks before an app that records what reaches it; tests/real/gateway has LiteLLM."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from in_pod.gateway import request_body
from in_pod.gateway.asgi import CONSUMER, Checks, Forward
from in_pod.gateway.asgi_types import Message, Receive, Scope, Send
from in_pod.gateway.contract import deployment_id
from in_pod.gateway.deployment import admitted, admitted_by
from in_pod.gateway.keys import Keys
from in_pod.gateway.native import Native
from in_pod.gateway.policy import Consumer, Endpoint, Model, Pictures, Policy
from in_pod.gateway.refusal import RefusedError
from tests.real.gateway.gateway import key_line

CHAT = "/v1/chat/completions"
BODY = {"model": "alias", "messages": [], "metadata": {"user_id": "x"}}
NOWHERE = Endpoint(url="http://127.0.0.1:9", front_end="llama-swap", timeout_s=1, state_url=None)
POLICY = Policy(
    litellm_version="1.108.7",
    allowed_origins=(),
    pictures=Pictures(number=1, bytes=1000, pixels=1000, internal_ranges=()),
    models={
        "photos": Model(aliases=("alias",), homes=("main",)),
        "moving": Model(aliases=(), homes=("main", "second")),
    },
    consumers={
        "poster": Consumer(
            models=("photos", "moving"),
            requests_per_minute=None,
            parallel_requests=1,
            may_evict=False,
            protected_s=0,
            remote_images=False,
        )
    },
    pools={},
)


DEPLOYMENTS = [
    {"model_name": "moving", "model_info": {"id": deployment_id(pool, "moving")}}
    for pool in ("main", "second")
]


class App:
    """Takes the place of LiteLLM's app."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.usable: list[list[str]] = []
        """Of each request, which deployments LiteLLM may use."""
        self.bodies: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.usable.append([it["model_info"]["id"] for it in admitted(DEPLOYMENTS)])
        if scope["type"] == "http":
            self.bodies.append(json.loads((await receive())["body"] or "null"))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"answer"})


async def admit(consumer: str, model: str, forward: Forward, send: Send) -> None:
    assert (consumer, model) == ("poster", "photos")
    await forward("main", send)


@pytest.fixture
def app() -> App:
    return App()


Ask = Callable[..., list[Message]]


@pytest.fixture
def ask(app: App, tmp_path: Path) -> Ask:
    """Send a request; return what came back."""
    (tmp_path / "poster").write_text(key_line("sk-poster"))

    def send_request(
        scope: Scope | None = None, *, body: bytes = b"", messages: Any = None, admit: Any = admit
    ) -> list[Message]:
        async def run() -> list[Message]:
            sent: list[Message] = []
            asked = {**request(), **(scope or {})}
            pending = messages or [{"type": "http.request", "body": body, "more_body": False}]

            async def receive() -> Message:
                if not pending:
                    await asyncio.Event().wait()
                message: Message = pending.pop(0)
                return message

            async def send(message: Message) -> None:
                # The server logs it when an answer begins.
                assert not asked.get("query_string")
                sent.append(message)

            checks = Checks(
                app,
                policy=POLICY,
                keys=Keys(tmp_path, ("poster",)),
                natives={"main": Native(NOWHERE, ""), "second": Native(NOWHERE, "")},
                fetch=lambda url: pytest.fail(url),
                admit=admit,
                control_fields=("fallbacks",),
            )
            await checks(asked, receive, send)
            return sent

        return asyncio.run(run())

    return send_request


def request(**headers: str) -> dict[str, Any]:
    sent = {"authorization": "Bearer sk-poster", "x-litellm-timeout": "1"} | headers
    return {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }


def code(sent: list[Message]) -> str:
    return str(json.loads(sent[1]["body"])["error"]["code"])


def test_litellm_sees_the_id_no_metadata_and_no_header_of_the_client(app: App, ask: Ask) -> None:
    sent = ask(body=json.dumps(BODY).encode())
    assert sent[0]["status"] == 200
    assert app.bodies == [{"model": "photos", "messages": []}]
    (scope,) = app.scopes
    assert scope[CONSUMER] == "poster"
    length = str(len(json.dumps(app.bodies[0], separators=(",", ":"))))
    assert scope["headers"] == [
        (b"content-type", b"application/json"),
        (b"content-length", length.encode()),
    ]


def test_an_unchanged_body_is_passed_on_as_it_is(app: App, ask: Ask) -> None:
    body = b'{ "model": "photos",  "messages": [] }'
    ask(body=body)
    assert (b"content-length", str(len(body)).encode()) in app.scopes[0]["headers"]


def test_a_websocket_never_reaches_litellm(app: App, ask: Ask) -> None:
    scope = {"type": "websocket", "query_string": b"key=sk-poster"}
    assert ask(scope) == [{"type": "websocket.close", "code": 1008}]
    assert not app.scopes
    ask({"type": "lifespan"})
    assert len(app.scopes) == 1


def test_nothing_of_a_refused_request_reaches_litellm(app: App, ask: Ask) -> None:
    body = json.dumps(BODY).encode()
    scopes: list[dict[str, Any]] = [
        {"path": "/key/generate"},
        {"method": "GET"},
        {"query_string": b"model=photos"},
        {"headers": []},
        {"headers": [(b"authorization", b"Bearer sk-other")]},
    ]
    for scope in scopes:
        assert ask(scope, body=body)[0]["status"] in (401, 403)
    changes: list[dict[str, Any]] = [
        {"model": "other"},
        {"model": None},
        {"fallbacks": []},
        {"_x": 1},
    ]
    for change in changes:
        assert ask(body=json.dumps(BODY | change).encode())[0]["status"] >= 400
    assert not app.scopes


def test_a_refusal_of_admission_is_answered(app: App, ask: Ask) -> None:
    async def refuse(*_: object) -> None:
        raise RefusedError(503, "card_in_use", "in use", retry_after_s=7)

    sent = ask(body=json.dumps(BODY).encode(), admit=refuse)
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"7") in sent[0]["headers"]
    assert code(sent) == "card_in_use"
    assert not app.scopes


def test_a_request_that_is_passed_on_twice_has_its_body_twice(app: App, ask: Ask) -> None:
    async def twice(consumer: str, model: str, forward: Forward, send: Send) -> None:
        await forward("main", send)
        await forward("main", send)

    ask(body=json.dumps(BODY).encode(), admit=twice)
    assert app.bodies == [{"model": "photos", "messages": []}] * 2


def test_a_body_in_parts_is_put_together(app: App, ask: Ask) -> None:
    body = json.dumps(BODY).encode()
    parts = [body[at : at + 7] for at in range(0, len(body), 7)]
    messages = [
        {"type": "http.request", "body": part, "more_body": part is not parts[-1]}
        for part in parts
    ]
    ask(messages=messages)
    assert app.bodies == [{"model": "photos", "messages": []}]


def test_a_client_that_leaves_amid_its_body_is_forgotten(app: App, ask: Ask) -> None:
    part = {"type": "http.request", "body": b"{", "more_body": True}
    assert ask(messages=[part, {"type": "http.disconnect"}]) == []
    assert not app.scopes


def test_half_a_body_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, app: App, ask: Ask
) -> None:
    monkeypatch.setattr(request_body, "_RECEIVE_S", 0.05)
    sent = ask(messages=[{"type": "http.request", "body": b"{", "more_body": True}])
    assert (sent[0]["status"], code(sent)) == (408, "body_timeout")


def test_a_large_body_is_refused(monkeypatch: pytest.MonkeyPatch, app: App, ask: Ask) -> None:
    monkeypatch.setattr(request_body, "MOST_BYTES", 10)
    sent = ask(body=b" " * 11)
    assert (sent[0]["status"], code(sent)) == (413, "body_too_large")
    declared = request(**{"content-length": "11"})
    # Before any of it has come.
    sent = ask(declared, messages=[{"type": "http.disconnect"}])
    assert (sent[0]["status"], code(sent)) == (413, "body_too_large")


def test_many_values_are_refused_before_they_are_parsed(app: App, ask: Ask) -> None:
    for body in (b"[" + b"[]," * 200_000, b'{"a":[' + b"{}," * 100_001, b"[" + b"1," * 200_001):
        assert code(ask(body=body)) == "body_too_large"
    numbers = json.dumps({**BODY, "prompt": list(range(150_000))}).encode()
    assert ask(body=numbers)[0]["status"] == 200


def test_fetched_pictures_count_as_part_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "MOST_BYTES", 20)
    assert request_body.write({"a": "b" * 12}) == b'{"a":"bbbbbbbbbbbb"}'
    with pytest.raises(RefusedError, match="Send smaller pictures"):
        request_body.write({"a": "b" * 13})


def test_an_endpoint_that_is_gone_is_an_answer(app: App, ask: Ask) -> None:
    body = json.dumps({"model": "photos", "prompt": "a"}).encode()
    sent = ask({"path": "/completion"}, body=body)
    assert (sent[0]["status"], code(sent)) == (502, "endpoint_broken")


@pytest.mark.parametrize("pool", ["main", "second"])
def test_litellm_may_use_no_deployment_but_that_of_the_pool_that_admitted(
    app: App, ask: Ask, pool: str
) -> None:
    async def admit(_consumer: str, _model: str, forward: Forward, send: Send) -> None:
        await forward(pool, send)

    ask(body=json.dumps(BODY | {"model": "moving"}).encode(), admit=admit)
    assert app.usable == [[f"{pool}/moving"]]
    # A failed attempt in another pool would hide why this one failed.
    assert app.bodies == [
        {"model": "moving", "messages": [], "disable_fallbacks": True, "num_retries": 0}
    ]
    assert len(admitted(DEPLOYMENTS)) == 2


def test_a_model_with_one_home_is_retried_by_litellm_as_ever(app: App, ask: Ask) -> None:
    ask(body=json.dumps(BODY).encode())
    assert app.bodies == [{"model": "photos", "messages": []}]


def test_a_deployment_without_an_id_is_used_by_nobody() -> None:
    with admitted_by("main"):
        assert admitted([{"model_name": "moving", "model_info": {}}]) == []
