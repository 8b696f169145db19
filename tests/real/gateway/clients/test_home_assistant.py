"""Home Assistant's requests, after the source of core 2026.11.0 and two integrations of HACS.

Core 2026.11 needs Python 3.14, so what it sends and how it reads an error is written here again.
"""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from ops.endpoint.pictures import data_uri, solid_picture
from tests.real.gateway.clients.conftest import TENANT, Ground

MODEL = "qwen3vl-4b"
CONSUMER = "home-assistant"
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "test_function",
            "description": "Test function.",
            "parameters": {"type": "object", "properties": {}},
        },
    }
]
MESSAGES: list[Any] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


def client(ground: Ground, *, consumer: str = CONSUMER) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{ground.gateway.url}/v1", api_key=ground.key(consumer), max_retries=0
    )


def error_message(error: openai.APIStatusError) -> str:
    """Read an error as `_extract_error_message` of the llama.cpp integration does."""
    body = error.response.json()
    return body["error"].get("message") or error.message


@pytest.mark.parametrize("stream", [False, True])
def test_the_validation_of_the_llama_cpp_integration_passes(ground: Ground, stream: bool) -> None:
    ground.unload()
    with client(ground) as asking:
        assert [model.id for model in asking.with_options(timeout=10).models.list()] == [MODEL]
        answer = asking.chat.completions.create(
            model=MODEL, messages=MESSAGES, tools=TOOLS, max_tokens=3, stream=stream
        )
        if isinstance(answer, openai.Stream):
            reasons = [chunk.choices[0].finish_reason for chunk in answer if chunk.choices]
            assert reasons[-1] == "length"
        else:
            assert answer.choices[0].finish_reason == "length"


def test_an_ai_task_about_a_picture_gets_its_structure(ground: Ground) -> None:
    """Local OpenAI LLM streams, and names the conversation in `metadata`."""
    schema = {
        "type": "object",
        "properties": {"parcel": {"type": "boolean"}},
        "required": ["parcel"],
        "additionalProperties": False,
    }
    with client(ground) as asking:
        stream = asking.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": _question("image/png")}],
            temperature=0,
            parallel_tool_calls=False,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "parcel", "strict": True, "schema": schema},
            },
            extra_headers={"X-Title": "Home Assistant"},
            extra_body={
                "chat_template_kwargs": {"enable_thinking": False},
                "metadata": {"session_id": "01K"},
            },
            stream=True,
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert isinstance(json.loads(text)["parcel"], bool)


def test_llm_vision_asks_below_the_address_without_v1(ground: Ground) -> None:
    body = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You analyse pictures of a house."},
            {"role": "user", "content": _question("image/jpeg")},
        ],
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
    }
    with ground.gateway.client(CONSUMER) as asking:
        answer = asking.post(f"{ground.gateway.url}/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] <= 5


def _question(media_type: str) -> list[Any]:
    url = data_uri(solid_picture("red"), media_type)
    return [
        {"type": "text", "text": "camera.door:"},
        {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
        {"type": "text", "text": "Is a parcel at the door?"},
    ]


def test_an_error_is_an_object_with_the_gateways_sentence(ground: Ground) -> None:
    with client(ground) as asking, pytest.raises(openai.PermissionDeniedError) as refused:
        asking.chat.completions.create(model="qwen3vl-8b", messages=MESSAGES)
    assert error_message(refused.value).startswith("home-assistant may not use model 'qwen3vl-8b'")
    ground.door.close()
    with client(ground) as asking, pytest.raises(openai.InternalServerError) as busy:
        asking.chat.completions.create(model="qwen3vl-4b", messages=MESSAGES)
    assert f"outside a window {TENANT} has the card" in error_message(busy.value)


def test_an_error_of_the_model_is_an_object_too(ground: Ground) -> None:
    """llama-swap v250 alone answers a string here, on which the integration crashes."""
    with client(ground) as asking, pytest.raises(openai.BadRequestError) as refused:
        asking.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "ba " * 20_000}]
        )
    assert "exceeds the available context size" in error_message(refused.value)
