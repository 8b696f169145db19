"""Three pools behind one gateway: a model is answered at its home, or at its second home."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.declaration.pools import RTX3090, T4, TWO_CARDS
from tests.real.gateway.gateway import consumer
from tests.real.gateway.refusals import refusal
from tests.real.gateway.served_pools import HOMES, ServedPools, served_pools

CLIENTS = 8
PROTECTED_S = 2
CONSUMERS = (
    consumer("poster", *HOMES, parallel_requests=20, protected_s=PROTECTED_S),
    consumer("home", *HOMES, parallel_requests=20, protected_s=PROTECTED_S),
)
ANSWERED_BY = "x-litellm-model-id"
AT_HOME = {homes[0]: {model: 1} for model, homes in HOMES.items()}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPools]:
    with served_pools(CONSUMERS, tmp_path_factory.mktemp("pools")) as started:
        yield started


@pytest.fixture
def served(running: ServedPools) -> ServedPools:
    """With nothing loaded, and no model protected."""
    time.sleep(PROTECTED_S)
    running.anew()
    return running


def ask(served: ServedPools, model: str, name: str = "poster") -> httpx2.Response:
    return served.gateway.chat(name, model)


def pool_of(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] in HOMES
    return str(answer.headers[ANSWERED_BY]).split("/")[0]


def ask_at_once(served: ServedPools, models: list[str]) -> Counter[tuple[str, str]]:
    """Ask by several clients; return how often which pool answered for which model."""

    def one(numbered: tuple[int, str]) -> tuple[str, str]:
        number, model = numbered
        return model, pool_of(ask(served, model, CONSUMERS[number % 2].name))

    with ThreadPoolExecutor(CLIENTS) as clients:
        return Counter(clients.map(one, enumerate(models)))


def test_200_requests_of_8_clients_load_each_model_once_at_its_home(served: ServedPools) -> None:
    models = [*HOMES] * 67
    answered = ask_at_once(served, models[:200])
    assert {(model, pool) for model, pool in answered} == {
        (model, homes[0]) for model, homes in HOMES.items()
    }
    assert served.loads() == {name: AT_HOME.get(name, {}) for name in served.pools}


def test_a_killed_pool_s_models_answer_from_their_second_home_and_return(
    served: ServedPools,
) -> None:
    assert pool_of(ask(served, "small")) == T4
    served.pools[T4].kill()
    answered = ask_at_once(served, ["small"] * 40)
    assert answered == {("small", TWO_CARDS): 40}
    assert served.loads()[TWO_CARDS] == {"small": 1}
    served.pools[T4].start()
    answered = ask_at_once(served, ["small"] * 40)
    # A look of the last seconds may still say that nobody is there.
    time.sleep(4)
    answered += ask_at_once(served, ["small"] * 40)
    assert answered["small", T4] >= 40
    assert served.loads()[T4] == {"small": 1}
    assert served.loads()[TWO_CARDS] == {"small": 1}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/completion"])
def test_every_path_goes_to_the_pool_that_admitted(served: ServedPools, path: str) -> None:
    body = {
        "model": "small",
        "max_tokens": 4,
        "n_predict": 4,
        "messages": [{"role": "user", "content": "hi"}],
        "prompt": "hi",
    }
    served.pools[T4].kill()
    with served.gateway.client("poster") as client:
        for stream in (False, True):
            answer = client.post(path, json={**body, "stream": stream})
            assert answer.status_code == 200, answer.text
    assert served.loads()[TWO_CARDS] == {"small": 1}


def test_an_estimate_of_tokens_is_made_while_any_home_answers(served: ServedPools) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
    served.pools[T4].kill()
    with served.gateway.client("poster") as client:
        answer = client.post("/v1/messages/count_tokens", json=body)
    assert answer.status_code == 200, answer.text
    assert served.loads()[TWO_CARDS] == {}


def test_a_pool_that_dies_amid_its_answers_loses_none(served: ServedPools) -> None:
    assert pool_of(ask(served, "small")) == T4
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [
            clients.submit(served.gateway.chat, "poster", "small", max_tokens=2000)
            for _ in range(CLIENTS)
        ]
        time.sleep(0.3)
        served.pools[T4].kill()
        answers = [it.result() for it in asked]
    assert {pool_of(it) for it in answers} <= {T4, TWO_CARDS}
    assert TWO_CARDS in {pool_of(it) for it in answers}


def test_a_model_without_another_home_is_refused_within_two_seconds(served: ServedPools) -> None:
    served.pools[TWO_CARDS].kill()
    began = time.monotonic()
    error = refusal(ask(served, "only"))
    assert time.monotonic() < began + 2
    assert error["code"] == "endpoint_unreachable"
    served.pools[T4].kill()
    error = refusal(ask(served, "small"))
    assert error["code"] == "endpoint_unreachable"
    assert pool_of(ask(served, "large")) == RTX3090


def test_a_load_that_fails_at_home_is_made_at_the_second_home(served: ServedPools) -> None:
    weights = next(served.pools[T4].folder.rglob("small/model.gguf"))
    content = weights.read_bytes()
    weights.write_bytes(content[:1000])
    try:
        assert pool_of(ask(served, "small")) == TWO_CARDS
    finally:
        weights.write_bytes(content)


def test_no_pool_gets_a_request_that_it_has_not_admitted(served: ServedPools) -> None:
    """LiteLLM's `order` would send it to the second home after any error of the home."""
    weights = next(served.pools[RTX3090].folder.rglob("large/model.gguf"))
    content = weights.read_bytes()
    assert pool_of(ask(served, "small", "home")) == T4
    weights.write_bytes(content[:1000])
    try:
        error = refusal(ask(served, "large", "poster"))
    finally:
        weights.write_bytes(content)
    # The home's reason, though the second home had another one.
    assert error["code"] == "load_failed"
    assert served.loads()[T4] == {"small": 1}


def test_consumers_that_take_turns_do_not_move_a_model_to_and_fro(served: ServedPools) -> None:
    assert pool_of(ask(served, "large")) == RTX3090
    served.pools[RTX3090].kill()
    assert pool_of(ask(served, "large", "poster")) == T4
    # Its home is taken, and then would have to end the guest.
    for _ in range(3):
        assert pool_of(ask(served, "small", "home")) == TWO_CARDS
        assert pool_of(ask(served, "large", "poster")) == T4
        time.sleep(PROTECTED_S)
    assert served.loads() == {T4: {"large": 1}, TWO_CARDS: {"small": 1}}


def test_more_requests_than_llama_swap_takes_wait_for_their_turn(served: ServedPools) -> None:
    with ThreadPoolExecutor(14) as clients:
        answers = list(clients.map(lambda _: ask(served, "small"), range(14)))
    assert Counter(it.status_code for it in answers) == {200: 14}
