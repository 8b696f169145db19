"""The serving container's script: signals, exit codes, and a log without signatures."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import get_args

import httpx2
import psutil
import pytest

from llama_swap_config.front_ends.front_end import FrontEndName, FrontEndProgram
from llama_swap_config.model import Model
from tests.real.serve.container import (
    container,
    container_program,
    front_end_of,
    log_of,
    start,
)
from tests.real.serve.served import store_of

EYES = Model(id="eyes", repository="tiny/random", quantisation="F32")
SIGNED = "X-Amz-Credential=AKIDEXAMPLE&X-Amz-Signature=5ec2e7"
SECRET = ("AKIDEXAMPLE", "5ec2e7", "s3cret")


@pytest.fixture(params=get_args(FrontEndName))
def program(
    request: pytest.FixtureRequest, llama_server: Path, free_port: int, tmp_path: Path
) -> FrontEndProgram:
    store = store_of((EYES,), tmp_path)
    return container_program(request.param, store.models, llama_server, store.volume, free_port)


def ask(url: str, picture: str) -> int:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    return post(
        url, {"model": "eyes", "max_tokens": 2, "messages": [{"role": "user", "content": content}]}
    )


def post(url: str, body: object) -> int:
    path = f"{url}/v1/chat/completions"
    return httpx2.post(path, json=body, timeout=60, trust_env=False).status_code


def test_the_log_has_no_query_and_no_login_of_an_address(
    program: FrontEndProgram, free_port: int, tmp_path: Path, web: str
) -> None:
    addresses = {
        f"{web}/red.png?{SIGNED}": 200,
        f"{web}/moved.png?{SIGNED}": 200,
        f"{web}/gone.png?{SIGNED}": 500,
        f"http://127.0.0.1:1/refused.png?{SIGNED}": 500,
        f"https://127.0.0.1:1/tls.png?{SIGNED}": 500,
        f"{web}/red.png?name='a b'&{SIGNED}": 200,
        f"http://user:s3cret@{web.removeprefix('http://')}/red.png": 200,
        f"httpx{web.removeprefix('http')}/scheme.png?{SIGNED}": 500,
    }
    with container(program, free_port, tmp_path) as (url, _):
        assert {address: ask(url, address) for address in addresses} == addresses
        # llama-server quotes the text at which a body ends too early.
        cut = f'{{"model": "eyes", "messages": [{{"content": "{web}/cut.png?{SIGNED}'
        json = {"Content-Type": "application/json"}
        path = f"{url}/v1/completions"
        refused = httpx2.post(path, content=cut, headers=json, timeout=60, trust_env=False)
        assert refused.status_code == 400
    log = log_of(tmp_path)
    assert f"{web}/red.png?[redacted]" in log
    assert f"{web}/cut.png?[redacted]" in log
    assert log.count("downloading image from") == len(addresses)
    assert [secret for secret in SECRET if secret in log] == []


def test_sigterm_ends_the_front_end_its_model_and_the_container(
    program: FrontEndProgram, free_port: int, tmp_path: Path
) -> None:
    with container(program, free_port, tmp_path) as (url, process):
        assert post(url, {"model": "eyes", "messages": [], "max_tokens": 2}) == 200
        ours = psutil.Process(process.pid).children(recursive=True)
        assert len(ours) >= 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        psutil.wait_procs(ours, timeout=20)
        assert not any(process.is_running() for process in ours)


def test_a_killed_front_end_ends_the_container_though_its_model_lives(
    program: FrontEndProgram, free_port: int, tmp_path: Path
) -> None:
    with container(program, free_port, tmp_path) as (url, process):
        assert post(url, {"model": "eyes", "messages": [], "max_tokens": 2}) == 200
        front_end = front_end_of(process)
        models = front_end.children(recursive=True)
        front_end.kill()
        try:
            assert process.wait(timeout=30) == 128 + signal.SIGKILL
        finally:
            for model in models:
                if model.is_running():
                    model.kill()


def test_a_front_end_that_cannot_start_says_why(program: FrontEndProgram, tmp_path: Path) -> None:
    # Neither YAML nor a flag of llama-server.
    broken = replace(program, config="[*]\nno-such-flag = 1\n")
    assert start(broken, tmp_path).wait(timeout=30) == 1
    assert "error" in log_of(tmp_path).lower() or "no-such-flag" in log_of(tmp_path)
