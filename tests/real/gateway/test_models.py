"""Each consumer asks its own models, by id and alias, on LiteLLM's paths and llama.cpp's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from tests.real.gateway.gateway import Gateway, consumer, gateway, model

MODELS = (
    model("photos", aliases=("gpt-4o:x",)),
    model("texts", projector=None, image_max_tokens=None),
)
CONSUMERS = (consumer("poster", "photos"), consumer("agent", "texts", "photos"))


@pytest.fixture(scope="module", params=("llama-server", "llama-swap"))
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    front_end: FrontEndName = request.param
    with gateway(MODELS, CONSUMERS, tmp_path_factory.mktemp("gateway"), front_end) as started:
        yield started


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_list_has_only_the_models_of_the_consumer(running: Gateway, path: str) -> None:
    for name, ids in (("poster", ["photos"]), ("agent", ["texts", "photos"])):
        with running.client(name) as client:
            assert [each["id"] for each in client.get(path).json()["data"]] == ids


def test_a_model_can_be_looked_up_by_its_alias(running: Gateway) -> None:
    with running.client("poster") as client:
        assert client.get("/v1/models/gpt-4o:x").json()["id"] == "photos"
        assert client.get("/v1/models/texts").status_code == 403
        assert client.get("/v1/models/nope").status_code == 404


def test_chat_answers_by_id_and_alias(running: Gateway) -> None:
    for name in ("photos", "gpt-4o:x"):
        answer = running.chat("poster", name)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "photos"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/completion", {"prompt": "hi", "n_predict": 2}, "content"),
        ("/tokenize", {"content": "hi"}, "tokens"),
        ("/detokenize", {"tokens": [1, 2]}, "content"),
        ("/apply-template", {"messages": [{"role": "user", "content": "hi"}]}, "prompt"),
    ],
)
def test_llama_cpps_own_paths_answer_for_the_consumers_model(
    running: Gateway, path: str, body: dict[str, object], field: str
) -> None:
    with running.client("poster") as client:
        answer = client.post(path, json=body | {"model": "gpt-4o:x"})
        assert answer.status_code == 200, answer.text
        assert field in answer.json()
        refused = client.post(path, json=body | {"model": "texts"})
        assert refused.status_code == 403
        assert client.post(path, json=body).status_code == 400
