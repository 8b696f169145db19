"""A picture's address reaches no path of the pod that changes which models are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import psutil
import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from ops.endpoint.api_key import KEY_VARIABLE
from tests.real.contract.endpoint import EYES, OTHER, Endpoint, chat_body, with_pictures
from tests.real.serve.served import served

KEY = "correct-horse"
BEARER = {"Authorization": f"Bearer {KEY}"}
OF_A_SERVER = ("/metrics", "/slots", "/props", "/lora-adapters", "/v1/models")


@pytest.fixture(scope="module")
def endpoint(
    front_end: FrontEndName, llama_server: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """An endpoint that requires a key, as the settings demand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        with served((EYES, OTHER), tmp_path_factory.mktemp("keyed"), front_end) as running:
            yield Endpoint(served=running)


def residents(endpoint: Endpoint) -> dict[str, str]:
    state = endpoint.get(endpoint.contract.state_path, BEARER)
    return endpoint.contract.residents(state.json())


def ask(endpoint: Endpoint, *pictures: str) -> int:
    """Ask EYES about pictures, which loads it first; return the status."""
    body = chat_body(with_pictures(*pictures), model=EYES, tokens=2)
    return endpoint.post("/v1/chat/completions", body, BEARER).status_code


def ports_of_models(endpoint: Endpoint) -> list[int]:
    return [
        connection.laddr.port
        for process in endpoint.llama_servers()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]


@pytest.mark.parametrize("way", ["direct", "by redirect", "with a wrong login"])
def test_a_pictures_address_changes_no_model(endpoint: Endpoint, web: str, way: str) -> None:
    only = {EYES.id: endpoint.contract.ready}
    for path in endpoint.contract.changing_paths:
        address = endpoint.served.url + path.format(model=OTHER.id)
        if way == "by redirect":
            address = f"{web}/to/{quote(address, safe='')}"
        elif way == "with a wrong login":
            address = address.replace("://", "://anybody:wrong@")
        assert (path, ask(endpoint), residents(endpoint)) == (path, 200, only)
        # llama-server answers 500 for each picture that it cannot fetch.
        assert (path, ask(endpoint, address), residents(endpoint)) == (path, 500, only)


def test_with_the_key_each_of_these_paths_changes_a_model(endpoint: Endpoint) -> None:
    for path in endpoint.contract.changing_paths:
        assert ask(endpoint) == 200
        endpoint.get(path.format(model=OTHER.id), BEARER)
        assert (path, EYES.id in residents(endpoint)) == (path, False)


def test_a_models_own_port_requires_the_key(endpoint: Endpoint, web: str) -> None:
    assert ask(endpoint) == 200
    (port,) = ports_of_models(endpoint)
    for path in OF_A_SERVER:
        address = f"http://127.0.0.1:{port}{path}"
        assert (path, httpx2.get(address, trust_env=False).status_code) == (path, 401)
        assert (path, ask(endpoint, address)) == (path, 500)
        assert (path, ask(endpoint, f"{web}/to/{quote(address, safe='')}")) == (path, 500)
