"""Text and streams of the chat endpoint, and requests that are refused."""

from __future__ import annotations

import http.client
import json
import socket
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from tests.real.contract.endpoint import (
    EYES,
    OTHER,
    Endpoint,
    chat_body,
    complaint,
    events,
    text_of,
)

CHAT = "/v1/chat/completions"
TOO_LONG = "ba" * 4000
"""8000 tokens; the model has 3072."""


def test_text_through_the_openai_client(endpoint: Endpoint) -> None:
    with endpoint.openai() as client:
        answer = client.chat.completions.create(
            model=EYES.id, max_tokens=8, messages=[{"role": "user", "content": "ba"}]
        )
    assert answer.model == EYES.id
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_temperature_0_repeats_itself(endpoint: Endpoint) -> None:
    # No prompt cache: a partly cached prompt is summed in another order.
    answers = {text_of(endpoint.chat(temperature=0, cache_prompt=False)) for _ in range(3)}
    assert len(answers) == 1


@pytest.mark.parametrize("usage", [True, False])
def test_the_order_of_a_stream(endpoint: Endpoint, usage: bool) -> None:
    answer = endpoint.chat(
        tokens=4, stream=True, ignore_eos=True, stream_options={"include_usage": usage}
    )
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    lines = [line for line in answer.text.split("\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = events(lines)
    if usage:
        last = chunks.pop()
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == 4
    role, *contents, end = [chunk["choices"][0] for chunk in chunks]
    assert role["delta"] == {"role": "assistant", "content": None}
    assert all(choice["delta"]["content"] and not choice["finish_reason"] for choice in contents)
    assert (end["delta"], end["finish_reason"]) == ({}, "length")
    assert not any("usage" in chunk for chunk in chunks)


def test_a_stream_through_the_openai_client(endpoint: Endpoint) -> None:
    with endpoint.openai() as client:
        stream = client.chat.completions.create(
            model=EYES.id,
            max_tokens=8,
            messages=[{"role": "user", "content": "ba"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        with stream:
            chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None


def test_a_stream_flows_while_it_is_made(endpoint: Endpoint) -> None:
    """The first words arrive long before the last, so nothing on the way buffers the stream."""
    body = chat_body("ba", model=EYES, tokens=50000) | {"stream": True, "ignore_eos": True}
    with httpx2.Client(trust_env=False, timeout=10) as client:
        with client.stream("POST", endpoint.served.url + CHAT, json=body) as answer:
            first = next(answer.iter_lines())
    assert events([first])[0]["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_that_is_too_long(endpoint: Endpoint, stream: bool) -> None:
    """The error of a stream request is also plain JSON with status 400."""
    answer = endpoint.chat(TOO_LONG, model=OTHER, stream=stream)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "exceed_context_size_error"
    assert error["n_prompt_tokens"] > error["n_ctx"] == OTHER.context


def test_the_openai_client_names_the_error(endpoint: Endpoint) -> None:
    with endpoint.openai() as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=OTHER.id, messages=[{"role": "user", "content": TOO_LONG}]
        )
    assert caught.value.type == "exceed_context_size_error"


def test_an_answer_ends_with_its_context(endpoint: Endpoint) -> None:
    answer = endpoint.chat(model=OTHER, tokens=50000, ignore_eos=True)
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert answer.json()["usage"]["total_tokens"] <= OTHER.context


def test_an_unknown_model_is_refused(endpoint: Endpoint) -> None:
    body = {"model": "nobody", "messages": []}
    answer = endpoint.post(CHAT, body)
    assert answer.status_code == endpoint.contract.unknown_model
    assert complaint(answer)
    with endpoint.openai() as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="nobody", messages=[])
    assert caught.value.status_code == endpoint.contract.unknown_model


@pytest.mark.parametrize("model", [{}, {"model": ""}])
def test_a_request_names_its_model(endpoint: Endpoint, model: dict[str, str]) -> None:
    answer = endpoint.post(CHAT, {"messages": [], **model})
    assert answer.status_code == endpoint.contract.no_model
    assert complaint(answer)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_a_request_says_that_it_is_json(endpoint: Endpoint, headers: dict[str, str]) -> None:
    answer = httpx2.post(
        endpoint.served.url + CHAT,
        content=json.dumps(chat_body("ba", model=EYES, tokens=4)),
        headers=headers,
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == endpoint.contract.no_content_type


def test_what_the_model_refuses_is_a_400(endpoint: Endpoint) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "'messages' is required": {"messages": None},
        "Field 'n'": {"n": 2},
        "Field 'temperature'": {"temperature": "hot"},
        "unsupported content[].type": {
            "messages": [{"role": "user", "content": [{"type": "smell"}]}]
        },
    }
    for message, fields in wrong.items():
        body = chat_body("ba", model=EYES, tokens=4) | fields
        answer = endpoint.post(CHAT, {k: v for k, v in body.items() if v is not None})
        assert answer.status_code == 400
        assert message in complaint(answer)


def test_a_connection_that_is_to_be_kept(endpoint: Endpoint) -> None:
    """The router announces keep-alive but closes the connection, so an immediate next request on
    it sometimes fails. httpx and openai request keep-alive by default."""
    headers, closed = connection_after(endpoint, "keep-alive")
    assert "close" not in headers.get("Connection", "")
    assert closed != endpoint.contract.keeps_connections


def test_a_connection_that_is_to_be_closed(endpoint: Endpoint) -> None:
    headers, closed = connection_after(endpoint, "close")
    assert "close" in headers["Connection"]
    assert closed


def connection_after(endpoint: Endpoint, wish: str) -> tuple[Message, bool]:
    """Return an answer's headers, and whether its connection is closed a second later."""
    address = urlsplit(endpoint.served.url)
    body = json.dumps(chat_body("ba", model=EYES, tokens=4)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: {wish}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            assert answer.status == 200
            answer.read()
            headers = answer.headers
        connection.settimeout(1)
        try:
            return headers, connection.recv(1) == b""
        except TimeoutError:
            return headers, False
