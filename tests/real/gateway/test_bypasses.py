"""Ways around key, path and model that LiteLLM or llama-swap leave open: each is refused."""

from __future__ import annotations

import base64
import gzip
import json
import re
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx2
import pytest
import websocket

from tests.real.gateway.gateway import Gateway, consumer, gateway, model

MODELS = (model("mine", aliases=("my-alias",)), model("theirs", aliases=("their-alias",)))
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
BODY = {"model": "mine", "max_tokens": 2, "messages": MESSAGES}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    consumers = (consumer("me", "mine"), consumer("them", "theirs"))
    # LiteLLM logs bodies and headers then: a key that it gets is in its log.
    with gateway(MODELS, consumers, folder, env={"LITELLM_LOG": "DEBUG"}) as started:
        yield started
        # Whatever a test has sent as a key, and wherever it has put it.
        assert not any(key in started.log for key in started.keys.values())
        assert "sk-wrong" not in started.log
        # LiteLLM knows most keys in an address by their form; the checks let it see no query.
        assert not re.search(r'"[A-Z]+ /\S*\?', started.log)


@pytest.fixture(autouse=True)
def only_my_model(running: Gateway) -> Iterator[None]:
    """Whatever a test sends, the other model is not loaded."""
    yield
    listed = httpx2.get(f"{running.served.url}/models", trust_env=False).json()["data"]
    states = {each["id"]: each["status"]["value"] for each in listed}
    assert states["theirs"] == "unloaded"


def refused(answer: httpx2.Response, *expected: int) -> str:
    """Require a refusal of the gateway itself; return its code."""
    assert answer.status_code in (expected or (401, 403)), answer.text
    code = answer.json()["error"]["code"]
    assert re.fullmatch("[a-z_]+", code), answer.text
    return str(code)


def test_what_the_refused_requests_vary_is_answered(running: Gateway) -> None:
    with running.client("me") as client:
        assert client.post(CHAT, json=BODY).status_code == 200
        # As llama.cpp's, OpenAI's and Anthropic's clients send.
        fields = {"cache_prompt": True, "top_k": 3, "seed": 1, "user": "u", "metadata": {"a": "b"}}
        assert client.post(CHAT, json=BODY | fields).status_code == 200
        assert client.post("/v1/messages?beta=true", json=BODY).status_code == 200
        assert client.post(CHAT, json=BODY | {"model": "my-alias"}).status_code == 200
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert client.post(CHAT, content=json.dumps(BODY), headers=form).status_code == 200
        assert client.post(CHAT, content=iter([json.dumps(BODY).encode()])).status_code == 200
    key = running.keys["me"]
    with running.client(headers={"x-api-key": key, "authorization": f"bearer {key}"}) as client:
        assert client.post(CHAT, json=BODY).status_code == 200


KEY = "$KEY"
"""Stands for the key of `me`."""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer sk-wrong"},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Token {KEY}"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY}, Bearer sk-wrong"},
        {"api-key": KEY},
        {"x-litellm-api-key": KEY},
        {"x-goog-api-key": KEY},
        {"ocp-apim-subscription-key": KEY},
        {"cookie": f"token={KEY}"},
        {"x-api-key": "sk-wrong", "authorization": f"Bearer {KEY}"},
        {"x-api-key": "", "authorization": f"Bearer {KEY}"},
        {"authorization": "Bearer sha256:" + "0" * 64},
        {"x-api-key": "sk-wrong\xff"},
        {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1"},
    ],
    ids=lambda headers: ",".join(headers) or "none",
)
def test_a_key_counts_in_two_headers_only(running: Gateway, headers: dict[str, str]) -> None:
    raw = {
        name: value.replace(KEY, running.keys["me"]).encode("latin-1")
        for name, value in headers.items()
    }
    with running.client(headers=raw) as client:
        assert refused(client.post(CHAT, json=BODY), 401).startswith("key_")
        assert refused(client.get("/v1/models"), 401).startswith("key_")


def test_two_authorization_headers_are_ambiguous(running: Gateway) -> None:
    mine, theirs = (f"Bearer {running.keys[name]}" for name in ("me", "them"))
    headers = [("authorization", mine), ("authorization", theirs)]
    with running.client(headers=headers) as client:
        assert refused(client.post(CHAT, json=BODY), 401) == "key_ambiguous"


def test_a_basic_header_of_name_and_key_is_no_key(running: Gateway) -> None:
    pair = base64.b64encode(f"me:{running.keys['me']}".encode()).decode()
    with running.client(headers={"authorization": f"Basic {pair}"}) as client:
        assert refused(client.post(CHAT, json=BODY), 401) == "key_unknown"


@pytest.mark.parametrize(
    "query",
    [
        *("model=theirs", "model=mine", "key=$KEY", "api_key=$KEY", "beta=true&model=theirs"),
        *("beta=true;model=theirs", "timeout=1", "%6dodel=theirs", "api-version=2024-02-01"),
        *("x=$KEY", "$KEY", "x=Bearer%20$KEY"),
    ],
)
def test_a_query_is_refused(running: Gateway, query: str) -> None:
    with running.client("me") as client:
        answer = client.post(f"{CHAT}?{query.replace(KEY, running.keys['me'])}", json=BODY)
        assert refused(answer, 403) == "query_not_allowed"


PATHS = (
    *("/engines/theirs/chat/completions", "/openai/deployments/theirs/chat/completions"),
    *("/v1/engines/theirs/completions", "/openai/v1/chat/completions", "/v1/v1/chat/completions"),
    *("/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions"),
    *("/v1/%2e/chat/completions", "/v1/x/%2e%2e/chat/completions", "/V1/chat/completions"),
    *("/v1/chat%2Fcompletions%00", "/v1/chat/completions;x", "/v1/chat/completions%20"),
    *("/anthropic/v1/messages", "/vertex_ai/x", "/gemini/x", "/bedrock/model/theirs/invoke"),
    *("/vllm/v1/chat/completions", "/openai/chat/completions", "/openai_passthrough/x"),
    *("/models/theirs:generateContent", "/v1beta/models/theirs:generateContent"),
    *("/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/rag/query"),
    *("/v1/files", "/v1/batches", "/v1/fine_tuning/jobs", "/v1/threads", "/v1/assistants"),
    *("/v1/responses/resp_1/cancel", "/v1/responses/compact", "/v1/moderations", "/v1/ocr"),
    *("/key/generate", "/key/info", "/user/new", "/team/new", "/model/new", "/model/delete"),
    *("/config/update", "/utils/transform_request", "/utils/token_counter", "/chat/test"),
    *("/cache/flushall", "/credentials", "/guardrails/apply_guardrail", "/queue/chat/completions"),
    *("/upstream/theirs/v1/chat/completions", "/api/models/unload", "/unload", "/running"),
    *("/slots", "/props", "/lora-adapters", "/models/load", "/embedding", "/v1/realtime"),
    *("/mcp/", "/mcp/tools/call", "/mcp-rest/tools/call", "/a2a/x", "/v1/vector_stores"),
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_not_listed_is_refused(running: Gateway, path: str) -> None:
    with running.client("me") as client:
        url = httpx2.URL(running.url).copy_with(raw_path=path.encode())
        assert refused(client.post(url, json=BODY), 403) == "path_not_served"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/redoc", "/openapi.json", "/ui/", "/sso/key/generate", "/fallback/login"),
        *("/health", "/health?model=theirs", "/health/services", "/health/readiness/details"),
        *("/health/latest", "/health/history", "/health/backlog", "/routes", "/settings"),
        *("/model/info", "/v1/model/info", "/model_group/info", "/key/list", "/spend/logs"),
        *("/get/config/callbacks", "/public/model_hub", "/debug/asyncio-tasks", "/cache/ping"),
        *("/v1/chat/completions", "/completion", "/v1/responses/resp_1", "/memory-usage"),
        *("/.well-known/oauth-authorization-server", "/robots.txt", "/favicon.ico", "/in_flight"),
    ],
)
def test_a_page_that_is_not_listed_is_refused(running: Gateway, path: str) -> None:
    for name in ("me", None):
        with running.client(name) as client:
            assert refused(client.get(path), 403) == "path_not_served"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(running: Gateway, method: str) -> None:
    with running.client("me") as client:
        answer = client.request(method, CHAT, json=BODY)
        assert refused(answer, 403) == "path_not_served"


def test_head_and_health_need_what_get_needs(running: Gateway) -> None:
    with running.client() as client:
        assert client.head("/v1/models").status_code == 401
        assert client.head(CHAT).status_code == 403
        for path in ("/health/liveliness", "/health/readiness", "/metrics/"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        *("theirs", "their-alias", "mine,theirs", "theirs,mine", ["theirs"], ["mine", "theirs"]),
        *({"model": "theirs"}, {"id": "mine"}, 7, True, "openai/theirs,mine"),
    ],
    ids=str,
)
def test_another_model_is_refused(running: Gateway, wanted: object) -> None:
    with running.client("me") as client:
        for path in (CHAT, "/v1/completions", "/v1/responses", "/completion", "/tokenize"):
            answer = client.post(path, json={**BODY, "prompt": "a", "input": "a", "model": wanted})
            assert refused(answer, 403) == "model_not_allowed"
        answer = client.post("/v1/messages", json=BODY | {"model": wanted})
        assert answer.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize(
    "wanted",
    [
        *("nope", "openai/theirs", "openai/mine", "theirs ", "THEIRS", "*", "theirs\u200b"),
        *("t\u04bbeirs", "all-proxy-models", "no-default-models", "mine/../theirs", "", "gpt-4o"),
    ],
)
def test_a_model_that_does_not_exist_is_not_found(running: Gateway, wanted: str) -> None:
    with running.client("me") as client:
        answer = client.post(CHAT, json=BODY | {"model": wanted})
        assert refused(answer, 404) == "model_not_found"
        assert "expected one of mine" in answer.text


FIELDS: dict[str, Any] = {
    "fallbacks": ["theirs"],
    "context_window_fallbacks": [{"mine": ["theirs"]}],
    "content_policy_fallbacks": [{"mine": ["theirs"]}],
    "disable_fallbacks": True,
    "api_base": "http://127.0.0.1:9",
    "base_url": "http://127.0.0.1:9",
    "api_key": "sk-wrong",
    "api_version": "1",
    "custom_llm_provider": "anthropic",
    "extra_body": {"model": "theirs"},
    "engine": "theirs",
    "agent": "theirs",
    "organization": "x",
    "success_callback": ["langfuse"],
    "extra_headers": {"x": "y"},
    "extra_query": {"model": "theirs"},
    "headers": {"x": "y"},
    "user_config": {"model_list": []},
    "model_list": [{"model_name": "theirs"}],
    "model_info": {"id": "theirs"},
    "litellm_params": {"model": "openai/theirs"},
    "litellm_metadata": {"user_api_key_alias": "them"},
    "litellm_call_id": "1",
    "litellm_credential_name": "x",
    "_litellm_client_requested_model": "theirs",
    "mock_response": "hi",
    "mock_testing_fallbacks": True,
    "mock_testing_rate_limit_error": True,
    "mock_delay": 5,
    "mock_timeout": True,
    "timeout": 0.001,
    "request_timeout": 0.001,
    "stream_timeout": 0.001,
    "force_timeout": 1,
    "num_retries": 9,
    "max_retries": 9,
    "retry_policy": {"InternalServerErrorRetries": 9},
    "router_settings_override": {"fallbacks": [{"mine": ["theirs"]}]},
    "specific_deployment": True,
    "silent_model": "theirs",
    "fastest_response": True,
    "prompt_id": "x",
    "guardrails": [],
    "tags": ["x"],
    "caching": True,
    "cache": {"no-cache": True},
    "cache_key": "x",
    "no-log": True,
    "user_api_key_user_id": "them",
    "proxy_server_request": {"body": {"model": "theirs"}},
    "secret_fields": {},
    "anthropic_identity_token_file": "/etc/passwd",
    "input_cost_per_token": -1,
    "drop_params": True,
    "additional_drop_params": ["messages"],
    "allowed_openai_params": ["model"],
    "region_name": "x",
    "priority": 1,
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_litellm_obeys_is_refused(running: Gateway, field: str) -> None:
    with running.client("me") as client:
        answer = client.post(CHAT, json=BODY | {field: FIELDS[field]})
        assert refused(answer, 403) == "field_not_allowed"
        assert repr(field) in answer.text
        # Behind the endpoint's own paths nobody obeys it.
        answer = client.post(
            "/tokenize", json={"model": "mine", "content": "a", field: FIELDS[field]}
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages"])
def test_no_tool_makes_anyone_ask_an_address(running: Gateway, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        server = {"type": "mcp", "server_label": "x", "require_approval": "never"}
        bodies: list[dict[str, Any]] = [
            {"tools": [server | {"server_url": url}]},
            {"tools": [server | {"server_url": "litellm_proxy/mcp/x"}]},
            {"mcp_servers": [{"type": "url", "url": url, "name": "x"}]},
            {"tools": [{"type": "web_search"}], "web_search_options": {}},
            {"tools": [{"type": "file_search", "vector_store_ids": ["x"]}]},
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": url}}}},
        ]
        with running.client("me") as client:
            for body in bodies:
                client.post(path, json={**BODY, "input": "hi", "max_output_tokens": 2, **body})
        assert not select.select([listening], [], [], 0)[0]


def test_no_document_makes_anyone_ask_an_address(running: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x.png"
        document = {"type": "document", "source": {"type": "url", "url": url}}
        result = {"type": "tool_result", "tool_use_id": "x", "content": [document]}
        with running.client("me") as client:
            for path in ("/v1/messages", "/v1/messages/count_tokens", CHAT):
                for part in (document, result):
                    body = BODY | {"messages": [{"role": "user", "content": [part]}]}
                    assert client.post(path, json=body).status_code == 400
            file = {"type": "input_file", "file_url": url}
            body = BODY | {"input": [{"role": "user", "content": [file]}]}
            assert client.post("/v1/responses", json=body).status_code == 400
        assert not select.select([listening], [], [], 0)[0]


def test_metadata_commands_nothing(running: Gateway) -> None:
    metadata = {
        "model_info": {"id": "theirs"},
        "tags": ["x"],
        "guardrails": ["x"],
        "mock_response": "mocked",
        "user_api_key_alias": "them",
        "fallbacks": ["theirs"],
        "langfuse_host": "http://127.0.0.1:9",
    }
    with running.client("me") as client:
        for path in (CHAT, "/v1/messages"):
            answer = client.post(path, json=BODY | {"metadata": metadata})
            # LiteLLM looks for addresses there, and would refuse this one.
            assert answer.status_code == 200, answer.text
            assert "mocked" not in answer.text


@pytest.mark.parametrize(
    "header",
    [
        *("x-litellm-timeout", "x-litellm-stream-timeout", "x-litellm-num-retries"),
        *("x-litellm-keepalive-seconds", "x-litellm-tags", "x-litellm-api-base"),
        *("x-litellm-model", "x-litellm-mock-response", "x-litellm-enable-message-redaction"),
        *("x-litellm-agent-id", "x-litellm-customer-id", "x-mcp-servers", "x-forwarded-host"),
        *("x-forwarded-prefix", "x-http-method-override", "x-original-url", "baggage"),
    ],
)
def test_headers_command_nothing(running: Gateway, header: str) -> None:
    value = "0.0001" if "timeout" in header else "theirs"
    with running.client("me") as client:
        answer = client.post(CHAT, json=BODY, headers={header: value})
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "mine"


TEXT = json.dumps(BODY)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (f'{{"model": "theirs", {TEXT[1:]}', 400),
        (f'{TEXT[:-1]}, "\\u006dodel": "theirs"}}', 400),
        (f'{TEXT[:-1]}, "a": {{"b": 1, "b": 2}}}}', 400),
        (f"[{TEXT}]", 400),
        (f'"{TEXT[1:-1]}', 400),
        ("", 400),
        ("null", 400),
        ("{}", 400),
        (f'{TEXT[:-1]}, "top_p": NaN}}', 400),
        (f'{TEXT[:-1]}, "top_p": 1e9999}}', 400),
        (f"{TEXT}{TEXT}", 400),
        (TEXT.encode("utf-16"), 400),
        (b"\xef\xbb\xbf" + TEXT.encode(), 400),
        (TEXT.encode()[:-2] + b"\xff" + b'"}', 400),
        ("[" * 100_000, 400),
        (f'{TEXT[:-1]}, "a": {"[" * 100_000}', 400),
        (f'{TEXT[:-1]}, "a": {"9" * 5000}}}', 400),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else None,
)
def test_a_body_that_can_be_read_in_two_ways_is_refused(
    running: Gateway, content: str | bytes, status: int
) -> None:
    with running.client("me") as client:
        for path in (CHAT, "/completion"):
            assert refused(client.post(path, content=content), status)


def test_other_encodings_of_a_body_are_refused(running: Gateway) -> None:
    with running.client("me") as client:
        packed = gzip.compress(TEXT.encode())
        for name in ("gzip", "br", "deflate", "GZIP", "gzip, identity"):
            answer = client.post(CHAT, content=packed, headers={"content-encoding": name})
            assert refused(answer, 415) == "body_encoding"
        answer = client.post(CHAT, files={"file": b"x"}, data={"model": "mine"})
        assert refused(answer, 400) == "body_malformed"


@pytest.mark.parametrize("messages", ["hi", {"role": "user"}, None, 7, [7], [[]], [{}]], ids=str)
def test_messages_of_another_type_end_in_an_error(running: Gateway, messages: object) -> None:
    with running.client("me") as client:
        answer = client.post(CHAT, json=BODY | {"messages": messages})
        assert 400 <= answer.status_code < 600
        assert "Traceback" not in answer.text


def test_a_body_without_end_is_bounded(running: Gateway) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"model": "mine", "messages": "'
        for _ in range(80):
            yield b"a" * 2**20

    with running.client("me") as client:
        # It may close the connection before the whole body is sent.
        with suppress(httpx2.WriteError, httpx2.RemoteProtocolError):
            assert refused(client.post(CHAT, content=endless()), 413) == "body_too_large"
        assert client.get("/v1/models").status_code == 200


def test_half_sent_requests_keep_nobody_waiting(running: Gateway) -> None:
    with ExitStack() as open_connections:
        for number in range(300):
            connection = open_connections.enter_context(raw(running))
            text = head(running, "Content-Length: 9")
            connection.sendall(text[:40] if number % 2 else text)
        with running.client() as client:
            assert client.get("/health/liveliness", timeout=10).status_code == 200
        with running.client("them", timeout=10) as client:
            assert client.get("/v1/models").status_code == 200


def test_a_refused_body_is_not_the_next_request(running: Gateway) -> None:
    content = b"GET /v1/models HTTP/1.1\r\n\r\n" * 100_000
    with running.client(limits=httpx2.Limits(max_connections=1)) as client:
        for _ in range(3):
            assert refused(client.post(CHAT, content=content), 401) == "key_missing"


def test_a_declared_length_is_bounded_before_the_body(running: Gateway) -> None:
    with raw(running) as connection:
        connection.sendall(head(running, "Content-Length: 99999999999") + b"{")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_request_in_absolute_form_is_the_same_request(running: Gateway) -> None:
    port = httpx2.URL(running.url).port
    for url, status in (
        (f"http://127.0.0.1:{port}{CHAT}?model=theirs", b"403"),
        (f"http://evil.example{CHAT}/", b"403"),
        (f"http://evil.example/key/generate#{CHAT}", b"403"),
    ):
        with raw(running) as connection:
            text = head(running, f"Content-Length: {len(TEXT)}", url=url) + TEXT.encode()
            connection.sendall(text)
            assert connection.recv(100).split()[1] in (status, b"400")


def test_a_smuggled_second_request_has_no_key(running: Gateway) -> None:
    second = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    with raw(running) as connection:
        both = ("Content-Length: 5", "Transfer-Encoding: chunked")
        connection.sendall(head(running, *both) + b"0\r\n\r\n" + second)
        answers = read_all(connection)
        assert b" 200 " not in answers
        assert b'"id": "mine"' not in answers


@pytest.mark.parametrize("path", ["/v1/realtime", CHAT, "/", "/mcp", "/v1/responses"])
def test_a_websocket_is_refused(running: Gateway, path: str) -> None:
    url = running.url.replace("http:", "ws:")
    headers = [f"Authorization: Bearer {running.keys['me']}"]
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(f"{url}{path}?model=theirs", header=headers, timeout=10)


def test_an_upgrade_to_another_protocol_is_ignored(running: Gateway) -> None:
    upgrade = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMA"}
    with running.client("me") as client:
        assert refused(client.get("/key/info", headers=upgrade), 403) == "path_not_served"


def raw(running: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx2.URL(running.url).port or 0), timeout=10)


def head(running: Gateway, *headers: str, url: str = CHAT) -> bytes:
    key = running.keys["me"]
    lines = (f"POST {url} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", *headers)
    return "\r\n".join((*lines, "", "")).encode()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    connection.settimeout(2)
    try:
        while chunk := connection.recv(4096):
            received += chunk
    except TimeoutError:
        pass
    return received
