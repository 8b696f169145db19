"""The real front ends hold exactly the models that the rendered residency allows."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llama_swap_config.fit.residency import Residents
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from ops.commands.serve import run as serve
from tests.real.serve.served import skip_without, store_of

IDS = ("a", "b-2", "c")


@contextmanager
def serving(folder: Path, front_end: FrontEndName, residents: Residents) -> Iterator[str]:
    skip_without(front_end)
    models = tuple(
        Model(
            id=model_id,
            repository="owner/name",
            quantisation="F16",
            projector=None,
            image_max_tokens=None,
            context=512,
        )
        for model_id in IDS
    )
    store = store_of(models, folder)
    try:
        running = serve.start(
            store, folder, front_end=front_end, port=None, say=print, residents=residents
        )
        yield running.url
    finally:
        serve.stop(folder)


def ask(url: str, model_id: str) -> None:
    body = {"model": model_id, "prompt": "ba", "max_tokens": 1}
    request = urllib.request.Request(
        f"{url}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()


def loaded(url: str, front_end: FrontEndName) -> set[str]:
    path = "/running" if front_end == "llama-swap" else "/v1/models"
    with urllib.request.urlopen(f"{url}{path}", timeout=10) as response:
        document = json.load(response)
    if front_end == "llama-swap":
        return {model["model"] for model in document["running"] if model["state"] == "ready"}
    return {model["id"] for model in document["data"] if model["status"]["value"] == "loaded"}


def after_each(url: str, front_end: FrontEndName, *asked: str) -> list[set[str]]:
    residents = []
    for model_id in asked:
        ask(url, model_id)
        residents.append(loaded(url, front_end))
    return residents


def test_llama_swap_holds_the_configured_sets(tmp_path: Path) -> None:
    residents = Residents(sets=(("a", "b-2"),))
    with serving(tmp_path, "llama-swap", residents) as url:
        assert after_each(url, "llama-swap", "a", "b-2", "c", "b-2") == [
            {"a"},
            {"a", "b-2"},
            {"c"},
            {"b-2"},
        ]


def test_llama_swap_evicts_only_what_it_must(tmp_path: Path) -> None:
    residents = Residents(sets=(("a", "b-2"), ("b-2", "c")))
    with serving(tmp_path, "llama-swap", residents) as url:
        assert after_each(url, "llama-swap", "a", "b-2", "c") == [
            {"a"},
            {"a", "b-2"},
            {"b-2", "c"},
        ]


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server"])
def test_default_is_one_model_at_a_time(tmp_path: Path, front_end: FrontEndName) -> None:
    with serving(tmp_path, front_end, Residents()) as url:
        assert after_each(url, front_end, "a", "b-2") == [{"a"}, {"b-2"}]


def test_router_holds_the_configured_number_of_models(tmp_path: Path) -> None:
    with serving(tmp_path, "llama-server", Residents(models_max=2)) as url:
        assert after_each(url, "llama-server", "a", "b-2", "c") == [
            {"a"},
            {"a", "b-2"},
            {"b-2", "c"},
        ]
