"""The model list, the loaded models, and the health check."""

from __future__ import annotations

import pytest

from tests.real.contract.endpoint import BRIEF, EYES, MODELS, OTHER, WORDS, Endpoint, wait_for


def test_models_are_listed_without_loading(endpoint: Endpoint) -> None:
    before = endpoint.loads()
    with endpoint.openai() as client:
        listed = [model.id for model in client.models.list()]
    assert listed == sorted(model.id for model in MODELS)
    assert endpoint.loads() == before


def test_paths_that_need_no_model(endpoint: Endpoint) -> None:
    paths = endpoint.contract.paths
    assert {path: endpoint.get(path).status_code for path in paths} == dict(paths)


def test_health_is_200_whatever_is_loaded(endpoint: Endpoint) -> None:
    for model in (EYES, OTHER):
        assert endpoint.get("/health").status_code == 200
        assert endpoint.chat(model=model).status_code == 200
    assert endpoint.get("/health").status_code == 200


def test_one_model_is_resident_at_a_time(endpoint: Endpoint) -> None:
    for model in (EYES, OTHER, WORDS, EYES):
        assert endpoint.chat(model=model).json()["model"] == model.id
        assert endpoint.residents() == {model.id: endpoint.contract.ready}
    assert len(endpoint.llama_servers()) == 1


def test_an_alias_is_answered_by_its_model(endpoint: Endpoint) -> None:
    body = {"model": "second-name", "max_tokens": 4, "messages": [{"role": "user", "content": ""}]}
    assert endpoint.post("/v1/chat/completions", body).json()["model"] == OTHER.id


@pytest.mark.parametrize("path", ["metrics", "slots", "props"])
def test_a_models_own_pages(endpoint: Endpoint, path: str) -> None:
    endpoint.chat(model=OTHER)
    answer = endpoint.get(endpoint.of_model(path, OTHER))
    assert answer.status_code == 200
    wanted = {"metrics": "llamacpp:prompt_tokens_total", "slots": "n_ctx", "props": "<__media__>"}
    assert wanted[path] in answer.text


def test_tokens_are_counted_by_the_model(endpoint: Endpoint) -> None:
    body = {"model": EYES.id, "content": "ba"}
    answer = endpoint.post(endpoint.of_model("tokenize", EYES), body)
    assert len(answer.json()["tokens"]) == 2


def test_a_look_at_a_models_metrics_loads_it(endpoint: Endpoint) -> None:
    endpoint.chat(model=EYES)
    assert endpoint.get(endpoint.of_model("metrics", OTHER)).status_code == 200
    assert endpoint.residents() == {OTHER.id: endpoint.contract.ready}


def test_an_idle_model_gives_its_memory_back(endpoint: Endpoint) -> None:
    """llama-swap ends the process; the router keeps it asleep, without the model."""
    idle = endpoint.contract.idle
    endpoint.chat(model=BRIEF)
    assert endpoint.residents() == {BRIEF.id: endpoint.contract.ready}
    wait_for(lambda: endpoint.residents() == ({} if idle is None else {BRIEF.id: idle}))
    assert len(endpoint.llama_servers()) == (0 if idle is None else 1)
    before = endpoint.loads()
    assert endpoint.chat(model=BRIEF).status_code == 200
    assert endpoint.loads() == before + 1


def test_a_model_is_unloaded_when_asked(endpoint: Endpoint) -> None:
    endpoint.chat(model=EYES)
    assert endpoint.unload(EYES.id).status_code == 200
    wait_for(lambda: endpoint.residents() == {} and not endpoint.llama_servers())
    assert endpoint.chat(model=EYES).status_code == 200


def test_an_unknown_model_cannot_be_unloaded(endpoint: Endpoint) -> None:
    assert endpoint.unload("nobody").status_code == endpoint.contract.unknown_to_unload


@pytest.mark.parametrize("front_end", ["llama-swap"], indirect=True)
def test_all_are_unloaded_by_one_get(endpoint: Endpoint) -> None:
    endpoint.chat(model=EYES)
    assert endpoint.get("/unload").status_code == 200
    assert endpoint.residents() == {}
