"""`smoke` on the real front ends and llama-server, without and with real faults."""

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
from tests.declaration.settings import SETTINGS
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
    """The registry with tiny weights, behind each front end in turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LLAMA_API_KEY", raising=False)
        with served(REGISTRY, tmp_path_factory.mktemp("served"), front_end) as running:
            yield running


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


def loaded(url: str) -> tuple[str, ...]:
    with Endpoint(url) as endpoint:
        return residents.find(endpoint, timeout_s=10).loaded


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
    """Run `smoke --json` and return the outcomes of one model's checks."""
    capsys.readouterr()
    main(["smoke", "--url", url, "--random-weights", "--json"])
    checks: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["checks"]
    return {check["name"]: check["outcome"] for check in checks if check["model"] == model}


def test_real_front_ends_pass(
    endpoint: Served, front_end: FrontEndName, capsys: pytest.CaptureFixture[str]
) -> None:
    before = loaded(endpoint.url)
    assert main(["smoke", "--url", endpoint.url, "--random-weights", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["front_end"] == front_end
    assert document["warnings"] == []
    assert len(document["checks"]) == 4 + 3 * 9
    not_ok = [check for check in document["checks"] if check["outcome"] != "ok"]
    # The router has no address for a model's log.
    devices = [] if front_end == "llama-swap" else [("device", "not known")] * 3
    assert [(check["name"], check["outcome"]) for check in not_ok] == devices
    assert loaded(endpoint.url) == before


@pytest.mark.parametrize("before", [A, B, C])
def test_smoke_restores_the_loaded_model(endpoint: Served, before: str) -> None:
    load(endpoint.url, before)
    assert main(["smoke", "--url", endpoint.url, "--random-weights"]) == 0
    assert loaded(endpoint.url) == (before,)


@pytest.mark.parametrize("before", [None, A])
def test_interrupted_smoke_restores_the_loaded_model(endpoint: Served, before: str | None) -> None:
    def interrupt(what: str) -> None:
        if what == f"{C}: schema":
            raise KeyboardInterrupt

    warnings: list[str] = []
    with Endpoint(endpoint.url) as asked:
        for model in loaded(endpoint.url):
            residents.restore(asked, _nothing(asked), [model], timeout_s=30)
        if before:
            load(endpoint.url, before)
        with pytest.raises(KeyboardInterrupt):
            run(
                asked,
                registry=REGISTRY,
                models=REGISTRY,
                key_declared=False,
                server=SETTINGS.llama_swap.server,
                engine_build=SETTINGS.engine_build,
                own_log=None,
                random_weights=True,
                timeout_s=30,
                say=interrupt,
                warn=warnings.append,
            )
    assert warnings == []
    assert loaded(endpoint.url) == ((before,) if before else ())


def _nothing(asked: Endpoint) -> residents.Residents:
    return replace(residents.find(asked, timeout_s=10), loaded=())


def test_real_weights_must_name_the_colours(
    endpoint: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", "--url", endpoint.url, "--model", B]) == 1
    assert f"error: {B}: picture: the answer to a red picture is '" in capsys.readouterr().err


def test_model_missing_in_the_front_end_is_named(
    front_end: FrontEndName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = replace(REGISTRY[1], id="stranger")
    with served((*REGISTRY[:1], stranger, *REGISTRY[2:]), tmp_path, front_end) as running:
        line = fails(capsys, running.url)
        assert outcomes(capsys, running.url, B)["warm"] == "skipped"
        assert loaded(running.url) == ()
    assert line == f"error: endpoint: models: missing: {B}; not in the registry: stranger"


def test_declared_key_is_required_and_accepted(
    front_end: FrontEndName,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_GATEWAY", "right-s3cret")
    with served(REGISTRY, tmp_path, front_end, api_key_env=("KEY_GATEWAY",)) as running:
        monkeypatch.setenv("LLAMA_API_KEY", "right-s3cret")
        line = fails(capsys, running.url)
        assert line.startswith("error: endpoint: key: the endpoint requires a key; expected none")
        declare_key(monkeypatch)
        assert main(["smoke", "--url", running.url, "--random-weights"]) == 0
        assert "key           ok\n" in capsys.readouterr().out
        monkeypatch.setenv("LLAMA_API_KEY", "wrong-s3cret")
        line = fails(capsys, running.url)
        assert line == "error: endpoint: key: the endpoint rejects the key in LLAMA_API_KEY"
        monkeypatch.delenv("LLAMA_API_KEY")
        line = fails(capsys, running.url)
        assert line == "error: endpoint: key: the endpoint requires a key; set LLAMA_API_KEY"


def test_declared_key_that_is_not_required_fails(
    endpoint: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_key(monkeypatch)
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    line = fails(capsys, endpoint.url, "--model", B)
    assert line.startswith(
        "error: endpoint: key: the endpoint does not require a key; expected one"
    )


def test_models_that_differ_from_the_registry_fail(
    front_end: FrontEndName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One model without mmproj, one without weights, one with a smaller context."""
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
    assert of_c == f"  {C}: too long: context is 2048; expected 3072, as in the registry"
    if front_end == "llama-swap":
        assert of_b.endswith("upstream command exited prematurely")
        assert log.count('" 500 ') == 2


def test_killed_front_end_ends_all_checks(
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
                server=SETTINGS.llama_swap.server,
                engine_build=SETTINGS.engine_build,
                own_log=None,
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
    """Forwards everything except the end of a stream."""

    behind = ""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path.startswith("/logs/"):  # A stream that never ends.
            self.send_error(404)
        else:
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


def test_cut_stream_fails(endpoint: Served, capsys: pytest.CaptureFixture[str]) -> None:
    before = loaded(endpoint.url)
    with cutting(endpoint.url) as url:
        line = fails(capsys, url, "--model", B)
    assert line.startswith(f"error: {B}: stream: the stream ends after ")
    assert "without data: [DONE]" in line
    assert loaded(endpoint.url) == before
