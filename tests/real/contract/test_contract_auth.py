"""API keys: the accepted headers, and the paths that are open without a key."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path

import openai
import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from ops.endpoint.api_key import KEY_VARIABLE
from tests.real.contract.endpoint import EYES, Endpoint, chat_body, complaint
from tests.real.serve.served import served

KEY = "correct-horse"


@pytest.fixture(scope="module")
def endpoint(
    front_end: FrontEndName, llama_server: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """An endpoint that requires a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        with served((EYES,), tmp_path_factory.mktemp("keyed"), front_end) as running:
            yield Endpoint(served=running)


def asked_with(endpoint: Endpoint, headers: Mapping[str, str]) -> int:
    body = chat_body("ba", model=EYES, tokens=2)
    return endpoint.post("/v1/chat/completions", body, headers).status_code


def test_paths_that_are_open(endpoint: Endpoint) -> None:
    paths = endpoint.contract.open_paths
    assert {path: endpoint.get(path).status_code for path in paths} == dict(paths)


def headers_of(forms: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """Return the header of each form."""
    basic = base64.b64encode(f"anybody:{KEY}".encode()).decode()
    return {form: dict([form.format(key=KEY, basic=basic).split(": ")]) for form in forms}


def test_forms_of_the_key(endpoint: Endpoint) -> None:
    """Behind llama-swap the model's own server requires the key too, and knows fewer forms."""
    forms = endpoint.contract.key_headers
    answers = {form: asked_with(endpoint, header) for form, header in headers_of(forms).items()}
    assert answers == dict(forms)


def test_forms_of_the_key_for_lists(endpoint: Endpoint) -> None:
    forms = endpoint.contract.keys_of_pages
    headers = headers_of(forms)
    answers = {form: endpoint.get("/v1/models", headers[form]).status_code for form in forms}
    assert answers == dict(forms)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong bearer"),
        pytest.param({"x-api-key": "wrong"}, id="wrong x-api-key"),
        pytest.param({"Authorization": "Bearer wrong", "x-api-key": KEY}, id="wrong one counts"),
    ],
)
def test_without_the_key_it_is_401(endpoint: Endpoint, headers: dict[str, str]) -> None:
    answer = endpoint.post("/v1/chat/completions", chat_body("", model=EYES, tokens=2), headers)
    assert answer.status_code == 401
    assert "api key" in complaint(answer).lower()


def test_authorization_counts_more(endpoint: Endpoint) -> None:
    assert asked_with(endpoint, {"Authorization": f"Bearer {KEY}", "x-api-key": "wrong"}) == 200


def test_a_key_in_the_address_is_no_key(endpoint: Endpoint) -> None:
    path = f"/v1/chat/completions?api_key={KEY}"
    assert endpoint.post(path, chat_body("ba", model=EYES, tokens=2)).status_code == 401


def test_the_key_through_the_openai_client(endpoint: Endpoint) -> None:
    with endpoint.openai(KEY) as client:
        assert [model.id for model in client.models.list()] == [EYES.id]
    with endpoint.openai("wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_anthropics_header_on_v1_messages(endpoint: Endpoint) -> None:
    body = chat_body("ba", model=EYES, tokens=2)
    assert endpoint.post("/v1/messages", body, {"x-api-key": KEY}).status_code == 200


def test_the_key_is_shown_nowhere(endpoint: Endpoint) -> None:
    bearer = {"Authorization": f"Bearer {KEY}"}
    endpoint.post("/v1/chat/completions", chat_body("ba", model=EYES, tokens=2), bearer)
    shown = [endpoint.get(path, bearer).text for path in ("/v1/models", "/running", "/props")]
    commands = [" ".join(process.cmdline()) for process in endpoint.llama_servers()]
    assert len(commands) == 1
    assert KEY not in "".join([*shown, *commands, endpoint.log()])
