"""Nobody ends by accident a model that another one uses, and a 503 says what is in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from tests.real.gateway.gateway import Gateway, consumer, gateway, model
from tests.real.gateway.played_card import PlayedCard, played_card
from tests.real.gateway.refusals import refusal, sized, unload

SIZES = {"large": 8_000, "small": 5_000}
PROTECTED_S = 2
CONSUMERS = (
    consumer("poster", "large", "small", protected_s=PROTECTED_S),
    consumer("home", "small", "large", protected_s=PROTECTED_S),
    consumer("boss", "small", may_evict=True, protected_s=0),
)
FRONT_ENDS: tuple[FrontEndName, ...] = ("llama-swap", "llama-server")


@pytest.fixture(scope="module", params=FRONT_ENDS)
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, PlayedCard]]:
    folder = tmp_path_factory.mktemp("admission")
    with played_card(folder / "card", folder / "gateway" / "served", SIZES) as card:
        with gateway(
            tuple(model(name, projector=None, image_max_tokens=None) for name in SIZES),
            CONSUMERS,
            folder / "gateway",
            request.param,
            edit_policy=lambda policy: sized(policy, SIZES),
            tenants=("immich/immich-machine-learning",),
        ) as started:
            yield started, card


@pytest.fixture
def running(played: tuple[Gateway, PlayedCard]) -> Gateway:
    """With nothing loaded, nobody on the card, and no model protected."""
    started, card = played
    card.hold(0)
    unload(started)
    time.sleep(PROTECTED_S)
    return started


@pytest.fixture
def card(played: tuple[Gateway, PlayedCard]) -> PlayedCard:
    return played[1]


def answers(running: Gateway, name: str, wanted: str) -> None:
    answer = running.chat(name, wanted)
    assert answer.status_code == 200, answer.text


def test_nobody_ends_a_model_in_use_in_200_tries_under_load(
    running: Gateway, card: PlayedCard
) -> None:
    answers(running, "poster", "large")
    servers, done, failed = card.servers("large"), threading.Event(), []
    assert servers

    def use() -> None:
        while not done.is_set():
            answer = running.chat("poster", "large")
            if answer.status_code != 200:
                failed.append(answer.text)

    with ThreadPoolExecutor(4) as pool:
        users = [pool.submit(use) for _ in range(2)]
        try:
            refused = [refusal(running.chat("home", "small")) for _ in range(200)]
        finally:
            done.set()
        for user in users:
            user.result()
    assert not failed
    assert card.servers("large") == servers
    assert not card.servers("small")
    assert {error["code"] for error in refused} == {"model_in_use"}
    assert all("model large of consumer poster" in error["holder"] for error in refused)


def test_a_model_is_protected_for_its_consumer_s_seconds_and_no_longer(running: Gateway) -> None:
    answers(running, "poster", "large")
    answered = time.monotonic()
    error = refusal(running.chat("home", "small"))
    assert error["holder"].startswith("model large of consumer poster, protected for ")
    while (answer := running.chat("home", "small")).status_code == 503:
        assert time.monotonic() < answered + PROTECTED_S + 15
        time.sleep(0.2)
    assert answer.status_code == 200
    assert time.monotonic() > answered + PROTECTED_S


def test_its_own_model_and_a_consumer_that_may_evict_are_exempt(running: Gateway) -> None:
    answers(running, "poster", "large")
    answers(running, "poster", "small")
    answers(running, "poster", "large")
    answers(running, "boss", "small")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/completion"])
def test_every_client_gets_the_refusal_in_its_format(running: Gateway, path: str) -> None:
    answers(running, "poster", "large")
    words = [{"role": "user", "content": "hi"}]
    body = {"model": "small", "max_tokens": 4, "messages": words, "prompt": "hi"}
    with running.client("home") as client:
        answer = client.post(path, json={**body, "stream": True})
    assert refusal(answer)["model"] == "small"
    assert ("type" in answer.json()) == (path == "/v1/messages")


def test_an_estimate_of_tokens_needs_no_place_on_the_card(running: Gateway) -> None:
    answers(running, "poster", "large")
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
    with running.client("home") as client:
        answer = client.post("/v1/messages/count_tokens", json=body)
    assert answer.status_code == 200, answer.text


def test_a_restart_protects_what_is_loaded(running: Gateway, card: PlayedCard) -> None:
    answers(running, "poster", "large")
    time.sleep(PROTECTED_S)
    servers = card.servers("large")
    assert servers
    running.restart()
    error = refusal(running.chat("home", "small"))
    assert error["holder"].startswith("model large loaded before the gateway started, protected")
    assert card.servers("large") == servers
    answers(running, "home", "large")


def test_a_model_that_cannot_be_loaded_is_refused_like_one_that_does_not_fit(
    running: Gateway, card: PlayedCard
) -> None:
    weights = next(card.folder.rglob("small/model.gguf"))
    content = weights.read_bytes()
    weights.write_bytes(content[:1000])
    try:
        for fields in ({}, {"stream": True}):
            error = refusal(running.chat("home", "small", **fields))
            assert error["code"] == "load_failed"
            assert error["failure"] == "exit"
            assert error["model"] == "small"
    finally:
        weights.write_bytes(content)
    answers(running, "home", "small")
