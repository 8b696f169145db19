"""`smoke --consumer` on a real gateway, without and with faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from llama_swap_config.consumers import CONSUMERS
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.registry import REGISTRY
from ops.cli import main
from tests.real.gateway.gateway import Gateway, gateway

GUEST = Consumer(name="guest", namespace="guest", models=("minicpm-v-4-5",))
"""It may not end what others use; the others may, so that each test loads its models."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    consumers = (*(replace(consumer, may_evict=True) for consumer in CONSUMERS), GUEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llama_swap_config.consumers.CONSUMERS", consumers)
        with gateway(REGISTRY, consumers, tmp_path_factory.mktemp("gateway")) as started:
            yield started


class Smoke:
    """The command as a consumer."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._capsys, self._patch = capsys, monkeypatch

    def __call__(self, url: str, name: str, key: str, *words: str) -> dict[str, Any]:
        self._patch.setenv("LLAMA_API_KEY", key)
        words = ("--consumer", name, "--url", url, "--random-weights", "--json", *words)
        code = main(["smoke", *words])
        printed = self._capsys.readouterr()
        found: dict[str, Any] = json.loads(printed.out)
        assert code == (0 if found["ok"] else 1)
        assert key not in printed.out + printed.err
        return found


@pytest.fixture
def smoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Smoke:
    return Smoke(capsys, monkeypatch)


def outcomes(found: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in found["checks"] if check["model"] is None}


def reason(found: dict[str, Any], name: str) -> str:
    return next(str(check["reason"]) for check in found["checks"] if check["name"] == name)


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.name)
def test_each_consumer_gets_its_models_and_no_other(
    smoke: Smoke, running: Gateway, consumer: Any
) -> None:
    found = smoke(running.url, consumer.name, running.keys[consumer.name])
    assert found["ok"], found
    assert found["consumer"] == consumer.name
    asked = {check["model"] for check in found["checks"] if check["model"]}
    assert asked == set(consumer.models)
    names = {check["name"] for check in found["checks"]}
    assert {"other model", "admin paths", "picture", "schema", "grammar", "too long"} <= names


def test_a_model_in_use_is_said(smoke: Smoke, running: Gateway) -> None:
    assert running.chat("photo-poster", "qwen3vl-8b").status_code == 200
    found = smoke(running.url, "guest", running.keys["guest"])
    assert set(outcomes(found).values()) == {"ok"}
    assert reason(found, "text").startswith("status 503: model minicpm-v-4-5 is not served now")
    assert "model qwen3vl-8b of consumer photo-poster" in reason(found, "text")
    assert reason(found, "picture").startswith("skipped because 'text' failed")


def test_a_wrong_key(smoke: Smoke, running: Gateway) -> None:
    found = smoke(running.url, "n8n", "sk-wrong")
    assert "the gateway rejects the key in LLAMA_API_KEY; expected one of n8n" in reason(
        found, "key"
    )
    assert outcomes(found)["models"] == "skipped"


def test_the_key_of_another_consumer(smoke: Smoke, running: Gateway) -> None:
    found = smoke(running.url, "home-assistant", running.keys["n8n"])
    assert reason(found, "models") == (
        "not of home-assistant, whose key LLAMA_API_KEY must hold: qwen3vl-8b"
    )
    assert "model qwen3vl-8b: expected status 403" in reason(found, "other model")


def test_the_endpoint_itself_is_no_gateway(smoke: Smoke, running: Gateway) -> None:
    found = smoke(running.served.url, "n8n", running.keys["n8n"])
    assert reason(found, "reachable").startswith("GET /health/liveliness: status 404")


def test_without_a_consumer_the_error_says_how(
    running: Gateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", running.keys["n8n"])
    assert main(["smoke", "--url", running.url]) == 1
    assert "; --consumer asks a gateway" in capsys.readouterr().err


class _Open(BaseHTTPRequestHandler):
    """A LiteLLM without the hooks: it asks nobody for a key, or opens a path."""

    asks_for_key = True

    def do_GET(self) -> None:
        is_list = self.path == "/v1/models"
        sent = self.headers["Authorization"]
        if self.path == "/health/liveliness" or self.path == "/key/list":
            self._answer(200)
        elif is_list and (not self.asks_for_key or sent == "Bearer sk-mine"):
            self._answer(200, {"data": []})
        else:
            self._answer(401)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        sent = self.headers["Authorization"]
        self._answer(404 if sent == "Bearer sk-mine" or not self.asks_for_key else 401)

    def _answer(self, status: int, document: object = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("asks_for_key", "check", "said"),
    [
        (True, "admin paths", "GET /key/list without a key is status 200; expected 401, 403 or"),
        (False, "key", "the gateway requires no key: it does not run this repository's hooks"),
    ],
)
def test_a_litellm_without_the_hooks(
    smoke: Smoke, asks_for_key: bool, check: str, said: str
) -> None:
    handler = type("Handler", (_Open,), {"asks_for_key": asks_for_key})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            found = smoke(url, "n8n", "sk-mine", "--timeout-s", "2")
        finally:
            server.shutdown()
            thread.join()
    assert reason(found, check).startswith(said)
