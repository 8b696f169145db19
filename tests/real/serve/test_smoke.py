"""`smoke` against the real front ends and llama-server: it finds no fault, and then real ones."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import httpx2
import psutil
import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from llama_swap_config.registry import REGISTRY
from ops.cli import main
from ops.commands.serve.run import Served
from ops.commands.smoke.run import run
from ops.endpoint import residents
from ops.endpoint.client import Endpoint
from tests.ops.commands.smoke.smoke_runs import declare_key
from tests.real.serve.served import served

IDS = [model.id for model in REGISTRY]
A, B, C = IDS


@pytest.fixture(scope="module", params=get_args(FrontEndName))
def front_end(request: pytest.FixtureRequest) -> FrontEndName:
    chosen: FrontEndName = request.param
    return chosen


@pytest.fixture(scope="module")
def endpoint(
    front_end: FrontEndName, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The registry with tiny weights, behind one front end after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LLAMA_API_KEY", raising=False)
        with served(REGISTRY, tmp_path_factory.mktemp("served"), front_end) as running:
            yield running


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


def loaded(url: str) -> tuple[str, ...]:
    with Endpoint(url) as found:
        return residents.find(found, timeout_s=10).loaded


def load(url: str, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    response = httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
    assert response.status_code == 200, response.text


def fails(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> str:
    assert main(["smoke", "--url", url, "--random-weights", *arguments]) == 1
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text.rstrip("\n")


def outcomes(capsys: pytest.CaptureFixture[str], url: str, model: str | None) -> dict[str, str]:
    """Run it for a program; what became of the checks of one model."""
    capsys.readouterr()
    main(["smoke", "--url", url, "--random-weights", "--json"])
    checks: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["checks"]
    return {each["name"]: each["outcome"] for each in checks if each["model"] == model}


def test_the_real_ones_do_it_all(
    endpoint: Served, front_end: FrontEndName, capsys: pytest.CaptureFixture[str]
) -> None:
    before = loaded(endpoint.url)
    assert main(["smoke", "--url", endpoint.url, "--random-weights", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["front_end"] == front_end
    assert document["warnings"] == []
    assert len(document["checks"]) == 28
    assert [each for each in document["checks"] if each["outcome"] != "ok"] == []
    assert loaded(endpoint.url) == before


@pytest.mark.parametrize("before", [A, B, C])
def test_it_leaves_loaded_what_was_loaded(endpoint: Served, before: str) -> None:
    load(endpoint.url, before)
    assert main(["smoke", "--url", endpoint.url, "--random-weights"]) == 0
    assert loaded(endpoint.url) == (before,)


@pytest.mark.parametrize("before", [None, A])
def test_an_interrupt_leaves_loaded_what_was_loaded(endpoint: Served, before: str | None) -> None:
    def interrupt(what: str) -> None:
        if what == f"{C}: schema":
            raise KeyboardInterrupt

    warnings: list[str] = []
    with Endpoint(endpoint.url) as asked:
        for model in loaded(endpoint.url):
            residents.bring_back(asked, _nothing(asked), [model], timeout_s=30)
        if before:
            load(endpoint.url, before)
        with pytest.raises(KeyboardInterrupt):
            run(
                asked,
                registry=REGISTRY,
                models=REGISTRY,
                key_declared=False,
                random_weights=True,
                timeout_s=30,
                say=interrupt,
                warn=warnings.append,
            )
    assert warnings == []
    assert loaded(endpoint.url) == ((before,) if before else ())


def _nothing(asked: Endpoint) -> residents.Residents:
    return replace(residents.find(asked, timeout_s=10), loaded=())


def test_real_weights_have_to_name_the_colours(
    endpoint: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", "--url", endpoint.url, "--model", B]) == 1
    assert f"error: {B}: picture: a red picture is answered '" in capsys.readouterr().err


def test_a_model_that_the_front_end_was_not_told_of(
    front_end: FrontEndName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = replace(REGISTRY[1], id="stranger")
    with served((*REGISTRY[:1], stranger, *REGISTRY[2:]), tmp_path, front_end) as running:
        line = fails(capsys, running.url)
        assert outcomes(capsys, running.url, B)["warm"] == "skipped"
        assert loaded(running.url) == ()
    assert line == f"error: endpoint: models: missing {B}; not in the registry stranger"


def test_a_declared_key_is_asked_for_and_taken(
    front_end: FrontEndName,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_GATEWAY", "right-s3cret")
    with served(REGISTRY, tmp_path, front_end, api_key_env=("KEY_GATEWAY",)) as running:
        monkeypatch.setenv("LLAMA_API_KEY", "right-s3cret")
        line = fails(capsys, running.url)
        assert line.startswith("error: endpoint: key: the endpoint asks for a key; expected none")
        declare_key(monkeypatch)
        assert main(["smoke", "--url", running.url, "--random-weights"]) == 0
        assert "key           ok\n" in capsys.readouterr().out
        monkeypatch.setenv("LLAMA_API_KEY", "wrong-s3cret")
        line = fails(capsys, running.url)
        assert line == "error: endpoint: key: the endpoint refuses the key of LLAMA_API_KEY"
        monkeypatch.delenv("LLAMA_API_KEY")
        line = fails(capsys, running.url)
        assert line == "error: endpoint: key: the endpoint asks for a key; set LLAMA_API_KEY"


def test_a_declared_key_that_is_not_asked_for_fails(
    endpoint: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_key(monkeypatch)
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    line = fails(capsys, endpoint.url, "--model", B)
    assert line.startswith("error: endpoint: key: the endpoint asks for no key; expected one")


def test_models_that_are_not_what_the_registry_says(
    front_end: FrontEndName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No mmproj, no weights, a smaller context."""
    blind = replace(REGISTRY[0], projector=None, image_max_tokens=None)
    small: Model = replace(REGISTRY[2], context=2048)
    with served((blind, REGISTRY[1], small), tmp_path, front_end) as running:
        (tmp_path / "models" / B / "model.gguf").unlink()
        assert main(["smoke", "--url", running.url, "--random-weights"]) == 1
        shown = capsys.readouterr().out
        assert loaded(running.url) == ()
        log = running.log.read_text(errors="replace")
    _, _, failures = shown.partition("\nFailed\n")
    of_a, of_b, of_c = failures.splitlines()
    assert of_a.startswith(f"  {A}: picture: status 500: image input is not supported - hint: ")
    assert of_b.startswith(f"  {B}: text: status 500: ")
    assert of_c == f"  {C}: too long: the context is 2048 tokens, in the registry 3072"
    if front_end == "llama-swap":
        assert of_b.endswith("upstream command exited prematurely")
        assert log.count('" 500 ') == 2


def test_a_front_end_that_is_killed_half_way(
    front_end: FrontEndName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warnings: list[str] = []
    with served(REGISTRY, tmp_path, front_end) as running:

        def kill(what: str) -> None:
            if what == f"{B}: schema":
                os.kill(running.pid, signal.SIGKILL)
                psutil.wait_procs([psutil.Process(running.pid)], timeout=10)

        with Endpoint(running.url) as asked:
            result = run(
                asked,
                registry=REGISTRY,
                models=REGISTRY,
                key_declared=False,
                random_weights=True,
                timeout_s=30,
                say=kill,
                warn=warnings.append,
            )
        assert "cannot connect to " in fails(capsys, running.url)
    (failed,) = result.failed
    assert (failed.model, failed.name) == (B, "schema")
    assert failed.reason.startswith(f"cannot connect to {running.url} (")
    assert {check.outcome for check in result.checks if check.model == C} == {"skipped"}
    assert len(warnings) == 1


class _NoEnd(BaseHTTPRequestHandler):
    """Forwards everything but the end of a stream."""

    behind = ""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._forward(b"")

    def do_POST(self) -> None:
        self._forward(self.rfile.read(int(self.headers["Content-Length"])))

    def _forward(self, body: bytes) -> None:
        response = httpx2.request(
            self.command,
            f"{self.behind}{self.path}",
            content=body,
            headers={"Content-Type": "application/json"},
            timeout=60,
            trust_env=False,
        )
        content = response.content.replace(b"data: [DONE]\n\n", b"")
        self.send_response(response.status_code)
        self.send_header("Content-Type", response.headers.get("content-type", ""))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def cutting(url: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_NoEnd,), {"behind": url}))
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_stream_that_is_cut(endpoint: Served, capsys: pytest.CaptureFixture[str]) -> None:
    before = loaded(endpoint.url)
    with cutting(endpoint.url) as url:
        line = fails(capsys, url, "--model", B)
    assert line.startswith(f"error: {B}: stream: the stream ends after ")
    assert line.endswith(
        "without data: [DONE], as one does whose llama-server died; its log says why"
    )
    assert loaded(endpoint.url) == before
