"""Answers when a model does not load, dies or is unloaded, or the endpoint ends."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import psutil
import pytest

from llama_swap_config.model import Model
from tests.real.contract.conftest import Serving
from tests.real.contract.endpoint import (
    EYES,
    MINUTES_LONG,
    OTHER,
    SECONDS_LONG,
    WORDS,
    Endpoint,
    complaint,
    streaming,
    wait_for,
)

SOON_S = 5
"""A llama-server that is asked once to end, while it works, takes 10 to 30 s; asked twice, or
killed a second later, about one."""


@pytest.fixture(scope="module")
def models() -> tuple[Model, ...]:
    return (EYES, OTHER)


def kill_the_model(endpoint: Endpoint) -> None:
    killed = endpoint.llama_servers()
    for process in killed:
        process.kill()
    assert len(killed) == 1


def assert_it_comes_back(endpoint: Endpoint) -> None:
    """The next request reloads the model, at the latest once its death was noticed."""
    assert endpoint.chat().status_code in endpoint.contract.after_a_kill
    wait_for(lambda: endpoint.chat().status_code == 200, timeout_s=SOON_S)


def test_a_missing_file_is_an_error_once(serving: Serving, tmp_path: Path) -> None:
    """One request is one attempt; the openai client makes three attempts by default."""
    with serving(EYES, OTHER, WORDS) as endpoint:
        (tmp_path / "models" / EYES.id / "model.gguf").unlink()
        (tmp_path / "models" / OTHER.id / "mmproj.gguf").unlink()
        for attempts, model in enumerate((EYES, OTHER), start=1):
            answer = endpoint.chat(model=model)
            assert answer.status_code == 500
            assert endpoint.contract.load_failed in complaint(answer)
            assert endpoint.loads() == attempts
        with endpoint.openai() as client, pytest.raises(openai.InternalServerError):
            client.with_options(max_retries=2).chat.completions.create(
                model=EYES.id, messages=[{"role": "user", "content": "ba"}]
            )
        assert endpoint.loads() == 5
        time.sleep(1)
        assert endpoint.loads() == 5
        assert endpoint.residents() == {}
        assert endpoint.chat(model=WORDS).status_code == 200


def test_a_killed_model_cuts_the_stream(endpoint: Endpoint) -> None:
    """Only the missing `finish_reason` and [DONE] show that the stream was cut."""
    with streaming(endpoint, tokens=MINUTES_LONG) as stream:
        kill_the_model(endpoint)
        assert stream.over.wait(SOON_S)
    assert stream.error is None
    assert not stream.complete
    assert not stream.finished
    assert stream.lines[-1].endswith(endpoint.contract.cut_short)
    assert_it_comes_back(endpoint)


def test_the_openai_client_sees_no_error_then(endpoint: Endpoint) -> None:
    with endpoint.openai() as client:
        with client.chat.completions.create(
            model=EYES.id,
            max_tokens=MINUTES_LONG,
            messages=[{"role": "user", "content": "ba"}],
            stream=True,
            extra_body={"ignore_eos": True},
        ) as stream:
            chunks = [next(stream) for _ in range(10)]
            kill_the_model(endpoint)
            chunks += stream
    assert not any(chunk.choices[0].finish_reason for chunk in chunks)
    assert_it_comes_back(endpoint)


def test_a_killed_model_fails_its_request(endpoint: Endpoint) -> None:
    endpoint.chat()
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(endpoint.chat, tokens=MINUTES_LONG, ignore_eos=True)
        wait_for(lambda: endpoint.is_busy(EYES))
        kill_the_model(endpoint)
        answer = asked.result(timeout=SOON_S)
    assert answer.status_code == endpoint.contract.killed
    assert_it_comes_back(endpoint)


def test_unload_does_not_wait_for_a_stream(endpoint: Endpoint) -> None:
    with streaming(endpoint, tokens=MINUTES_LONG) as stream:
        old = endpoint.llama_servers()
        asked = time.monotonic()
        assert endpoint.unload(EYES.id).status_code == 200
        assert stream.over.wait(SOON_S)
        psutil.wait_procs(old, timeout=SOON_S)
        assert time.monotonic() - asked < SOON_S
    assert not stream.complete
    assert not any(process.is_running() for process in old)
    assert endpoint.chat().status_code == 200
    assert time.monotonic() - asked < 2 * SOON_S


@pytest.mark.parametrize("front_end", ["llama-swap"], indirect=True)
def test_a_reload_does_not_wait_for_a_stream(endpoint: Endpoint) -> None:
    """Afterwards, too, at most one model is resident."""
    with streaming(endpoint, tokens=MINUTES_LONG) as stream:
        old = endpoint.llama_servers()
        asked = time.monotonic()
        os.kill(endpoint.served.pid, signal.SIGHUP)
        assert stream.over.wait(SOON_S)
        assert endpoint.chat().status_code == 200
        assert time.monotonic() - asked < 2 * SOON_S
    assert not stream.complete
    assert not any(process.is_running() for process in old)
    assert len(endpoint.llama_servers()) == 1


def test_sigterm_with_a_stream_in_flight(serving: Serving) -> None:
    """llama-swap lets it finish; the router cuts it. Both end all processes they started."""
    with serving(EYES) as endpoint, streaming(endpoint, tokens=SECONDS_LONG) as stream:
        models = endpoint.llama_servers()
        front_end = psutil.Process(endpoint.served.pid)
        front_end.terminate()
        wait_for(lambda: _refuses(endpoint))
        if endpoint.contract.drains:
            assert not stream.over.is_set()
        assert stream.over.wait(60)
        front_end.wait(timeout=SOON_S)
        assert psutil.wait_procs(models, timeout=SOON_S)[1] == []
    assert stream.complete == stream.finished == endpoint.contract.drains
    assert (stream.error is None) == endpoint.contract.drains


def test_sigterm_with_nothing_in_flight(serving: Serving) -> None:
    with serving(EYES) as endpoint:
        endpoint.chat()
        models = endpoint.llama_servers()
        front_end = psutil.Process(endpoint.served.pid)
        front_end.terminate()
        assert front_end.wait(timeout=SOON_S) == 0
        assert psutil.wait_procs(models, timeout=SOON_S)[1] == []


def _refuses(endpoint: Endpoint) -> bool:
    try:
        endpoint.get("/health")
    except httpx2.TransportError:
        return True
    return False
