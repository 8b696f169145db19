"""Concurrent clients of one model and of two models."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.real.contract.endpoint import (
    EYES,
    MINUTES_LONG,
    OTHER,
    SECONDS_LONG,
    WORDS,
    Endpoint,
    chat_body,
    streaming,
    wait_for,
)

KEEP_ALIVE_S = 5
"""Seconds for which an idle connection holds a thread of llama-server."""


def test_eleven_requests_at_once(endpoint: Endpoint) -> None:
    """llama-swap refuses the eleventh request; the router queues all of them."""
    long = 2 * SECONDS_LONG  # On a busy machine ten clients need a while to send.
    with streaming(endpoint, tokens=long) as first, ThreadPoolExecutor(10) as clients:
        others = [clients.submit(endpoint.chat) for _ in range(10)]
        first.over.wait(60)
        freed = time.monotonic()
        answers = [future.result() for future in others]
        took_s = time.monotonic() - freed
    assert first.complete
    assert Counter([200, *(answer.status_code for answer in answers)]) == Counter(
        endpoint.contract.eleven_at_once
    )
    for answer in answers:
        assert (answer.headers.get("retry-after") == "1") == (answer.status_code == 429)
    assert took_s < KEEP_ALIVE_S


def test_a_client_that_retries_is_answered(endpoint: Endpoint) -> None:
    """The openai client waits for the time in Retry-After."""

    def ask() -> int | None:
        with endpoint.openai() as client:
            answer = client.with_options(max_retries=8).chat.completions.create(
                model=EYES.id, max_tokens=4, messages=[{"role": "user", "content": "ba"}]
            )
        return answer.usage.completion_tokens if answer.usage else None

    with streaming(endpoint, tokens=SECONDS_LONG), ThreadPoolExecutor(12) as clients:
        asked = [clients.submit(ask) for _ in range(12)]
        assert [future.result() for future in asked] == [4] * 12


def test_idle_connections_stall_nobody(endpoint: Endpoint) -> None:
    """Ten clients keep their connections: with llama-server's default number of threads, half of
    them would wait until the connections of the others time out."""
    endpoint.chat()
    together = threading.Barrier(10)

    def ask_twice() -> list[int]:
        with httpx2.Client(trust_env=False, timeout=60) as client:
            together.wait(30)
            return [
                client.post(
                    f"{endpoint.served.url}/v1/chat/completions",
                    json=chat_body("ba", model=EYES, tokens=4),
                    # The router closes it anyway; requesting it makes the test deterministic.
                    headers={"Connection": "keep-alive" if kept else "close"},
                ).status_code
                for _ in range(2)
            ]

    kept = endpoint.contract.keeps_connections
    started = time.monotonic()
    with ThreadPoolExecutor(10) as clients:
        answers = [clients.submit(ask_twice) for _ in range(10)]
        assert [future.result() for future in answers] == [[200, 200]] * 10
    assert time.monotonic() - started < KEEP_ALIVE_S


def test_each_swap_is_one_load(endpoint: Endpoint) -> None:
    endpoint.chat(model=WORDS)
    before = endpoint.loads()
    for model in (EYES, OTHER) * 3:
        assert endpoint.chat(model=model).status_code == 200
    assert endpoint.loads() == before + 6


def test_a_crowd_swaps_less_often_than_it_asks(endpoint: Endpoint) -> None:
    """Ten concurrent requests to A and B in turn: those of one model are answered together."""
    endpoint.chat(model=WORDS)
    before = endpoint.loads()
    with ThreadPoolExecutor(10) as clients:
        asked = [clients.submit(endpoint.chat, model=model) for model in (EYES, OTHER) * 5]
        answers = [future.result() for future in asked]
    refusal = endpoint.contract.refused_in_a_crowd
    served = [
        answer
        for answer in answers
        if refusal is None or answer.status_code != 400 or refusal not in answer.text
    ]
    assert [answer.status_code for answer in served] == [200] * len(served)
    assert len(served) > 5
    assert 2 <= endpoint.loads() - before < 10


def test_a_swap_waits_for_the_stream(endpoint: Endpoint) -> None:
    with streaming(endpoint, tokens=SECONDS_LONG) as stream:
        assert endpoint.chat(model=OTHER).status_code == 200
        assert stream.over.wait(5)
    assert stream.complete
    assert stream.finished


def test_who_leaves_frees_the_model(endpoint: Endpoint) -> None:
    """Without the disconnect the stream would last minutes."""
    with streaming(endpoint, tokens=MINUTES_LONG):
        assert endpoint.is_busy(EYES)
    left = time.monotonic()
    assert endpoint.chat().status_code == 200
    assert time.monotonic() - left < 10


def test_who_leaves_without_a_stream(endpoint: Endpoint) -> None:
    """The router does not notice, and the model continues to work."""
    endpoint.chat()
    body = chat_body("ba", model=EYES, tokens=MINUTES_LONG) | {"ignore_eos": True}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            f"{endpoint.served.url}/v1/chat/completions", json=body, timeout=1, trust_env=False
        )
    # llama-server checks once a second, and not while it handles another request.
    time.sleep(3)
    assert endpoint.is_busy(EYES) != endpoint.contract.notices_leavers
    endpoint.unload(EYES.id)
    assert endpoint.chat().status_code == 200


def test_pages_answer_while_a_model_works(endpoint: Endpoint) -> None:
    with streaming(endpoint, tokens=MINUTES_LONG) as stream:
        for path in ("/health", "/v1/models", endpoint.of_model("metrics", EYES)):
            assert endpoint.get(path).status_code == 200
        assert endpoint.is_busy(EYES)
        assert not stream.over.is_set()
    wait_for(lambda: not endpoint.is_busy(EYES))
