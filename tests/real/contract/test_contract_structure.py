"""Structured answers: JSON schemas, grammars and tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.endpoint.pictures import solid_picture
from tests.real.contract.endpoint import EYES, Endpoint, complaint, text_of, with_pictures

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
    "required": ["colour", "sure"],
    "additionalProperties": False,
}
YES_OR_NO = 'root ::= "yes" | "no"'
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look again.",
        "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
    },
}
PICTURE = with_pictures(solid_picture("red"))


def formatted(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": schema},
    }


def without_fence(text: str) -> str:
    """The grammar of a schema allows a Markdown code fence around the object."""
    return text.strip().removeprefix("```json").removesuffix("```")


@pytest.mark.parametrize("question", ["ba", PICTURE], ids=["text", "picture"])
def test_a_json_schema_is_kept_to(endpoint: Endpoint, question: Any) -> None:
    answer = endpoint.chat(question, tokens=400, response_format=formatted(SCHEMA), seed=1)
    told = json.loads(without_fence(text_of(answer)))
    assert set(told) == {"colour", "sure"}
    assert told["colour"] in ("red", "blue")
    assert type(told["sure"]) is bool


def test_a_broken_json_schema_is_a_400(endpoint: Endpoint) -> None:
    answer = endpoint.chat(response_format=formatted({"type": "nonsense"}))
    assert answer.status_code == 400
    assert "unrecognized type" in complaint(answer)


def test_json_object_is_json(endpoint: Endpoint) -> None:
    finished = []
    for seed in range(8):
        answer = endpoint.chat(tokens=200, response_format={"type": "json_object"}, seed=seed)
        if answer.json()["choices"][0]["finish_reason"] == "stop":
            finished.append(json.loads(without_fence(text_of(answer))))
    assert finished
    assert all(isinstance(document, dict) for document in finished)


@pytest.mark.parametrize("question", ["ba", PICTURE], ids=["text", "picture"])
def test_a_grammar_on_chat(endpoint: Endpoint, question: Any) -> None:
    assert text_of(endpoint.chat(question, grammar=YES_OR_NO)) in ("yes", "no")


def test_a_grammar_on_completion(endpoint: Endpoint) -> None:
    body = {"model": EYES.id, "prompt": "ba", "n_predict": 8, "grammar": YES_OR_NO}
    assert endpoint.post("/completion", body).json()["content"] in ("yes", "no")


def test_a_schema_on_completion(endpoint: Endpoint) -> None:
    body = {"model": EYES.id, "prompt": "ba", "n_predict": 400, "json_schema": SCHEMA, "seed": 1}
    told = json.loads(endpoint.post("/completion", body).json()["content"])
    assert told["colour"] in ("red", "blue")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/completion"])
def test_a_broken_grammar_is_a_400(endpoint: Endpoint, path: str) -> None:
    body = {
        "model": EYES.id,
        "prompt": "ba",
        "messages": [{"role": "user", "content": "ba"}],
        "grammar": 'root ::= "yes',
    }
    answer = endpoint.post(path, body)
    assert answer.status_code == 400
    assert "failed to parse grammar" in complaint(answer).lower()


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_tools_are_taken_not_forced(endpoint: Endpoint, choice: str) -> None:
    """Even with `required` a model may write text first; these models write until the limit."""
    answer = endpoint.chat(tools=[LOOK], tool_choice=choice, ignore_eos=True)
    assert text_of(answer)
    message = answer.json()["choices"][0]
    assert "tool_calls" not in message["message"]
    assert message["finish_reason"] == "length"


def test_an_unknown_tool_choice_is_a_400(endpoint: Endpoint) -> None:
    answer = endpoint.chat(tools=[LOOK], tool_choice="always")
    assert (answer.status_code, complaint(answer)) == (400, "Invalid tool_choice: always")
