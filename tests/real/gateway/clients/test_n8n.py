"""n8n's requests: what its nodes send, by the library that they use (chat_model.mjs)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.endpoint.pictures import data_uri, solid_picture
from tests.conftest import ROOT
from tests.real.gateway.clients.conftest import TENANT, Ground
from tests.real.gateway.clients.snippets import Snippet, run, snippets

CONSUMER = "n8n"
MODEL = "qwen3vl-4b"
NODE = Path(__file__).with_name("chat_model.mjs")
(EXTRA_BODY,) = (json.loads(block.text) for block in snippets("json"))


def chat_model(
    ground: Ground, folder: Path, *, model: str = MODEL, **node: Any
) -> tuple[int, str]:
    """Run the node with the options of the page."""
    options = {"timeout": 600_000, "maxRetries": 0, "extraBody": EXTRA_BODY}
    (folder / "node.json").write_text(json.dumps({"model": model, "options": options} | node))
    program = Snippet(page=NODE, heading="", language="javascript", text=NODE.read_text())
    return run(program, folder, url=ground.gateway.url, key=ground.key(CONSUMER))


def test_the_page_is_about_this_nodes_options() -> None:
    page = (ROOT / "docs" / "consumers" / "n8n.md").read_text()
    for option in ("Use Responses API", "Timeout | 600000", "Max Retries | 0", "Extra Body"):
        assert option in page


def test_the_credential_is_tested_without_a_load(ground: Ground) -> None:
    ground.unload()
    loads = ground.endpoint.loads()
    with ground.gateway.client(CONSUMER) as asking:
        ids = [model["id"] for model in asking.get("/v1/models").json()["data"]]
    assert ids == ["qwen3vl-8b", "qwen3vl-4b"]
    assert ground.endpoint.loads() == loads


def test_a_picture_gets_the_shape_of_the_extra_body(ground: Ground, tmp_path: Path) -> None:
    ground.unload()
    code, output = chat_model(ground, tmp_path)
    assert code == 0, output
    answer = json.loads(output)
    assert answer["place"] in ("café", "home", "street", "nature")
    assert answer["people"] in range(10)


def test_the_responses_api_ignores_the_shape(ground: Ground, tmp_path: Path) -> None:
    """This is why the page switches it off."""
    shape = {"type": "json_schema", **EXTRA_BODY["response_format"]["json_schema"]}
    body = {"max_output_tokens": 20, "text": {"format": shape}}
    options = {"timeout": 600_000, "maxRetries": 0, "extraBody": body}
    code, output = chat_model(ground, tmp_path, options=options, responsesApiEnabled=True)
    assert code != 0
    assert "invalid structured output JSON" in output


def test_a_refusal_has_the_gateways_sentence(ground: Ground, tmp_path: Path) -> None:
    code, output = chat_model(ground, tmp_path, model="minicpm-v-4-5")
    assert code != 0
    assert "403 n8n may not use model 'minicpm-v-4-5'" in output


def test_a_taken_card_has_the_gateways_sentence(ground: Ground, tmp_path: Path) -> None:
    ground.door.close()
    code, output = chat_model(ground, tmp_path)
    assert code != 0
    assert f"503 model {MODEL} is not served now" in output
    assert f"outside a window {TENANT} has the card" in output


@pytest.mark.parametrize("address", ["data", "http"])
def test_analyze_image_sends_the_picture_itself(ground: Ground, address: str) -> None:
    """The OpenAI node's operation; a picture's address is for `remote_images` only."""
    picture = data_uri(solid_picture("red")) if address == "data" else "http://192.0.2.1/a.jpg"
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "detail": "auto", "image_url": picture},
    ]
    body = {
        "model": MODEL,
        "input": [{"role": "user", "content": content}],
        "max_output_tokens": 8,
    }
    with ground.gateway.client(CONSUMER) as asking:
        answer = asking.post("/v1/responses", json=body)
    assert answer.status_code == (200 if address == "data" else 403), answer.text
