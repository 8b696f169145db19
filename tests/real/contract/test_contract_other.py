"""The paths besides chat: completions, responses, messages, embeddings, rerank."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from llama_swap_config.model import Model
from ops.endpoint.pictures import solid_picture
from tests.real.contract.endpoint import EYES, OTHER, Endpoint, complaint, events

VECTORS = Model(
    id="vectors", repository="tiny/random", quantisation="F32", projector=None,
    image_max_tokens=None, extra_args=("--embedding", "--pooling", "mean"),
)  # fmt: skip
RANKS = Model(
    id="ranks", repository="tiny/random", quantisation="F32", projector=None,
    image_max_tokens=None, extra_args=("--reranking",),
)  # fmt: skip
RED = base64.b64encode(solid_picture("red")).decode()
RERANK = ("/rerank", "/v1/rerank", "/reranking", "/v1/reranking")


@pytest.fixture(scope="module")
def models() -> tuple[Model, ...]:
    return (EYES, OTHER, VECTORS, RANKS)


def messages(content: Any, **more: Any) -> dict[str, Any]:
    """Return a request in Anthropic's format."""
    asked = [{"role": "user", "content": content}]
    return {"model": EYES.id, "max_tokens": 4, "messages": asked, **more}


def picture_part() -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": RED}
    return {"type": "image", "source": source}


def test_v1_completions(endpoint: Endpoint) -> None:
    with endpoint.openai() as client:
        answer = client.completions.create(model=EYES.id, prompt="ba", max_tokens=4)
    assert answer.choices[0].text
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


def test_v1_responses(endpoint: Endpoint) -> None:
    with endpoint.openai() as client:
        answer = client.responses.create(model=EYES.id, input="ba", max_output_tokens=16)
    assert answer.status == "completed"
    assert answer.output_text


def test_completion_answers_without_a_template(endpoint: Endpoint) -> None:
    body = {"model": EYES.id, "prompt": "ba", "n_predict": 4}
    answer = endpoint.post("/completion", body).json()
    assert answer["content"]
    assert answer["tokens_evaluated"] == 2


def test_completion_names_its_model(endpoint: Endpoint) -> None:
    answer = endpoint.post("/completion", {"prompt": "ba"})
    assert answer.status_code == endpoint.contract.no_model


def test_a_completion_stream_has_no_done(endpoint: Endpoint) -> None:
    body = {"model": EYES.id, "prompt": "ba", "n_predict": 4, "stream": True}
    answer = endpoint.post("/completion", body)
    assert "[DONE]" not in answer.text
    assert [event["stop"] for event in events(answer.text.split("\n"))] == [False] * 4 + [True]


def test_completion_sees_a_picture(endpoint: Endpoint) -> None:
    """The picture is inserted at the marker in the prompt."""
    prompt = {"prompt_string": "<__media__> ba", "multimodal_data": [RED]}
    body = {"model": EYES.id, "prompt": prompt, "n_predict": 8}
    answer = endpoint.post("/completion", body).json()
    assert answer["content"]
    assert answer["tokens_evaluated"] > 10


def test_completion_needs_the_marker(endpoint: Endpoint) -> None:
    prompt = {"prompt_string": "ba", "multimodal_data": [RED]}
    answer = endpoint.post("/completion", {"model": EYES.id, "prompt": prompt})
    assert (answer.status_code, complaint(answer)) == (400, "Failed to tokenize prompt")


@pytest.mark.parametrize("content", ["ba", [picture_part()]], ids=["text", "picture"])
def test_v1_messages(endpoint: Endpoint, content: Any) -> None:
    answer = endpoint.post("/v1/messages", messages(content, ignore_eos=True)).json()
    assert (answer["type"], answer["role"]) == ("message", "assistant")
    assert answer["content"][0]["text"]
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"]["output_tokens"] == 4


def test_a_v1_messages_stream(endpoint: Endpoint) -> None:
    answer = endpoint.post("/v1/messages", messages("ba", stream=True, ignore_eos=True))
    assert answer.headers["content-type"] == "text/event-stream"
    told = [event["type"] for event in events(answer.text.split("\n"))]
    assert told[:2] == ["message_start", "content_block_start"]
    assert set(told[2:-3]) == {"content_block_delta"}
    assert told[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "[DONE]" not in answer.text


def test_v1_messages_errors_are_not_anthropics(endpoint: Endpoint) -> None:
    body = messages("ba" * 4000) | {"model": OTHER.id}
    answer = endpoint.post("/v1/messages", body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]["type"] == "exceed_context_size_error"


def test_tokens_of_messages_are_counted(endpoint: Endpoint) -> None:
    text, picture = (
        endpoint.post("/v1/messages/count_tokens", messages(content)).json()["input_tokens"]
        for content in ("ba", [{"type": "text", "text": "ba"}, picture_part()])
    )
    assert 0 < text < picture


@pytest.mark.parametrize("path", RERANK)
def test_rerank_needs_a_model_for_it(endpoint: Endpoint, path: str) -> None:
    body = {"query": "ba", "documents": ["ba", "de"]}
    refused = endpoint.post(path, {"model": EYES.id, **body})
    assert refused.status_code == 501
    assert "--reranking" in complaint(refused)
    ranked = endpoint.post(path, {"model": RANKS.id, **body})
    assert sorted(result["index"] for result in ranked.json()["results"]) == [0, 1]


def test_embeddings_need_a_model_for_it(endpoint: Endpoint) -> None:
    refused = endpoint.post("/v1/embeddings", {"model": EYES.id, "input": "ba"})
    assert refused.status_code == 501
    assert "--embeddings" in complaint(refused)
    with endpoint.openai() as client:
        vectors = client.embeddings.create(
            model=VECTORS.id, input=["ba", "de"], encoding_format="float"
        )
    assert [len(vector.embedding) for vector in vectors.data] == [64, 64]


@pytest.mark.parametrize("path", ["/embeddings", "/embedding"])
def test_llama_servers_own_embedding_paths(endpoint: Endpoint, path: str) -> None:
    answer = endpoint.post(path, {"model": VECTORS.id, "content": "ba"})
    assert answer.status_code == endpoint.contract.embeddings_aliases


@pytest.mark.parametrize("model", [VECTORS, RANKS], ids=lambda model: model.id)
def test_such_a_model_chats_all_the_same(endpoint: Endpoint, model: Model) -> None:
    assert endpoint.chat(model=model).status_code == 200
