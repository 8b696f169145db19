"""`ops serve`: tiny models behind each real front end, on this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import httpx2
import psutil
import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from llama_swap_config.registry import REGISTRY
from ops.cli import main
from ops.commands.serve import ask, local_store
from ops.commands.serve import run as serve
from ops.commands.serve.served_keys import served_keys
from ops.endpoint.api_key import authorization
from ops.errors import OpsError
from ops.hub.local_hub import HubFile, LocalHub
from ops.machine.state_dir import locked
from tests.conftest import ROOT
from tests.real.serve.left_running import listening_in, running_in
from tests.real.serve.served import served, skip_without, store_of

FRONT_ENDS = get_args(FrontEndName)
MODELS = tuple(
    Model(id=name, repository="tiny/random", quantisation="F32") for name in ("first", "second")
)


def ids_at(url: str, **headers: str) -> set[str]:
    answer = httpx2.get(f"{url}/v1/models", headers=headers, trust_env=False)
    answer.raise_for_status()
    return {model["id"] for model in answer.json()["data"]}


@contextmanager
def command(*options: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `ops serve` as a person does, until it prints its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "serve", *options],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if address := re.search(r" at (http://127\.0\.0\.1:\d+)/v1$", line):
                break
        assert address is not None
        yield process, address[1]
    finally:
        if process.poll() is None:
            process.terminate()
        with process:
            process.wait(60)


def rest_of(process: subprocess.Popen[str]) -> str:
    """Return the rest of its output; `communicate` would lose lines that were read ahead."""
    assert process.stdout is not None
    output = process.stdout.read()
    process.wait(60)
    return output


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_serve_serves_the_registry_until_ctrl_c(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path
) -> None:
    skip_without(front_end)
    options = ("--front-end", front_end, "--state-dir", str(tmp_path))
    with command(*options, LLAMA_SERVER=str(llama_server)) as (process, url):
        assert ids_at(url) == {model.id for model in REGISTRY}
        running = serve.find(tmp_path)
        assert running is not None
        answers = list(ask.ask_each(running))
        assert [answer.model for answer in answers] == [model.id for model in REGISTRY]
        assert all(answer.text.strip() and answer.swap_s > 0 for answer in answers)
        process.send_signal(signal.SIGINT)
        rest = rest_of(process)
    assert process.returncode == 130
    assert "Their weights are random" in rest
    assert f"curl -s --noproxy 127.0.0.1 {url}/v1/chat/completions" in rest
    assert running_in(tmp_path) == []


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_endpoint_listens_only_on_this_machine(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path
) -> None:
    with served(MODELS, tmp_path, front_end) as running:
        list(ask.ask_each(running))
        # The front end, and the llama-server of the last model.
        assert listening_in(tmp_path) == {
            name: {"127.0.0.1"} for name in {front_end, "llama-server"}
        }


def test_weights_of_a_hub_and_a_lock_are_served(llama_server: Path, tmp_path: Path) -> None:
    """As with the real hub; the hub and the lock of the tiny models replace it."""
    tiny = local_store.fill_with_tiny_models(tmp_path / "tiny", say=print)
    hub_files = {
        (file.repository, file.name): HubFile.of(
            tmp_path / "tiny" / "hub" / file.repository / file.name
        )
        for model in tiny.models
        for file in model.files
    }
    options = (
        *("--weights", str(tmp_path / "store"), "--lock", str(tiny.lock_path)),
        *("--front-end", "llama-server", "--state-dir", str(tmp_path / "state")),
    )
    with LocalHub(hub_files) as hub:
        env = {"HF_ENDPOINT": hub.url, "no_proxy": "127.0.0.1", "LLAMA_SERVER": str(llama_server)}
        with command(*options, **env) as (process, url):
            assert ids_at(url) == {model.id for model in REGISTRY}
            process.send_signal(signal.SIGINT)
            rest = rest_of(process)
    assert (tmp_path / "store" / "qwen3vl-4b" / "model.gguf").is_file()
    assert "random" not in rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_signal_stops_all_processes(
    number: signal.Signals, llama_server: Path, tmp_path: Path
) -> None:
    options = ("--front-end", "llama-server", "--state-dir", str(tmp_path))
    with command(*options, LLAMA_SERVER=str(llama_server)) as (process, _):
        process.send_signal(number)
        process.wait(60)
    assert running_in(tmp_path) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on PATH")
def test_the_printed_curl_command_is_answered(
    llama_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends a key, so the environment's proxy must not see it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served(MODELS, tmp_path, "llama-server") as running:
        answer = subprocess.run(
            ["sh", "-c", ask.curl_command(running)], capture_output=True, text=True, check=True
        )
    assert '"finish_reason"' in answer.stdout


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_llama_api_key_is_required(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    with served(MODELS, tmp_path, front_end) as running:
        assert ids_at(running.url, **authorization()) == {"first", "second"}
        assert len(list(ask.ask_each(running))) == 2
        chat = {"model": "first", "messages": []}
        refused = httpx2.post(f"{running.url}/v1/chat/completions", json=chat, trust_env=False)
        assert refused.status_code == 401
        arguments = [word for line in running_in(tmp_path) for word in line.split()]
        assert arguments
        assert not [word for word in arguments if "s3cret" in word]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("set_", [True, False], ids=["set", "generated"])
def test_declared_keys_are_required(
    front_end: FrontEndName,
    set_: bool,
    llama_server: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    monkeypatch.delenv("KEY_BATCH", raising=False)
    if set_:
        monkeypatch.setenv("KEY_GATEWAY", "s3cret-of-the-gateway")
    else:
        monkeypatch.delenv("KEY_GATEWAY", raising=False)
    declared = ("KEY_GATEWAY", "KEY_BATCH")
    with served(MODELS, tmp_path, front_end, api_key_env=declared) as running:
        keys = [key.read() for key in served_keys(declared, tmp_path)]
        assert ("s3cret-of-the-gateway" in keys) == set_
        for key in keys:
            assert ids_at(running.url, Authorization=f"Bearer {key}") == {"first", "second"}
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            refused = httpx2.get(f"{running.url}/v1/models", headers=headers, trust_env=False)
            assert refused.status_code == 401
        assert len(list(ask.ask_each(running))) == 2
        assert serve.find(tmp_path) == running
        again = serve.start(
            store_of(MODELS, tmp_path / "again"),
            tmp_path,
            front_end=front_end,
            port=None,
            say=print,
            api_key_env=declared,
        )
        assert ids_at(again.url, Authorization=f"Bearer {keys[0]}") == {"first", "second"}
        shown = [*running_in(tmp_path), ask.curl_command(running), repr(running)]
        written = [
            path.read_text(errors="replace")
            for path in (tmp_path / "serve").rglob("*")
            if path.is_file()
        ]
        assert not [text for text in (*shown, *written) if any(key in text for key in keys)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on PATH")
def test_the_printed_curl_command_reads_the_generated_key(
    llama_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    monkeypatch.delenv("KEY_GATEWAY", raising=False)
    with served(MODELS, tmp_path, "llama-server", api_key_env=("KEY_GATEWAY",)) as running:
        answer = subprocess.run(
            ["sh", "-c", ask.curl_command(running)], capture_output=True, text=True, check=True
        )
    assert '"finish_reason"' in answer.stdout


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_running_front_end_is_reused_until_the_registry_changes(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path
) -> None:
    skip_without(front_end)
    store = store_of(MODELS, tmp_path)
    only = store_of((MODELS[0],), tmp_path / "other")
    lines: list[str] = []
    try:
        first = serve.start(store, tmp_path, front_end=front_end, port=None, say=print)
        again = serve.start(store, tmp_path, front_end=front_end, port=None, say=lines.append)
        assert again == first
        assert lines == [f"{front_end} already serves at {first.url}"]
        changed = serve.start(only, tmp_path, front_end=front_end, port=None, say=print)
        assert changed.pid != first.pid
        assert ids_at(changed.url) == {"first"}
    finally:
        serve.stop(tmp_path)
    assert running_in(tmp_path) == []


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_stop_ends_what_a_killed_front_end_left(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path
) -> None:
    with served(MODELS, tmp_path, front_end) as running:
        list(ask.ask_each(running))
        psutil.Process(running.pid).kill()
        deadline = time.monotonic() + 10
        while serve.find(tmp_path) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert serve.find(tmp_path) is None
    assert running_in(tmp_path) == []


def test_second_serve_in_a_directory_is_refused(
    llama_server: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(MODELS, tmp_path, "llama-server") as running:
        assert main(["serve", "--state-dir", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert f"llama-server already serves from {tmp_path} at {running.url}; stop it" in error


def test_directory_of_another_command_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path):
        assert main(["serve", "--state-dir", str(tmp_path)]) == 1
    assert f"another command uses {tmp_path}" in capsys.readouterr().err


def test_directory_below_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["serve", "--state-dir", str(tmp_path / "file" / "state")]) == 1
    assert "file/state cannot be used (Not a directory)" in capsys.readouterr().err


def test_directory_name_may_contain_a_space(llama_server: Path, tmp_path: Path) -> None:
    for front_end in FRONT_ENDS if shutil.which("llama-swap") else FRONT_ENDS[1:]:
        with served(MODELS, tmp_path / f"a {front_end}", front_end) as running:
            assert len(list(ask.ask_each(running))) == 2


def test_taken_port_is_refused(llama_server: Path, tmp_path: Path) -> None:
    store = store_of(MODELS, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            OpsError, match=rf"port {port} on 127\.0\.0\.1 is not available \(Addr"
        ):
            serve.start(store, tmp_path, front_end="llama-server", port=port, say=print)
    assert running_in(tmp_path) == []


def test_missing_llama_swap_is_refused_or_replaced_by_the_router(
    llama_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_SERVER", str(llama_server))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    store = store_of(MODELS, tmp_path)
    with pytest.raises(OpsError, match=r"llama-swap is not on PATH; install it .* own router"):
        serve.start(store, tmp_path, front_end="llama-swap", port=None, say=print)
    lines: list[str] = []
    try:
        running = serve.start(store, tmp_path, front_end=None, port=None, say=lines.append)
        assert running.front_end == "llama-server"
        router, device = lines
        assert router.startswith(
            "llama-swap is not on PATH; using llama-server's own router, whose"
        )
        assert device.startswith("llama-server chooses its device")
    finally:
        serve.stop(tmp_path)


def test_program_that_ends_at_start_up_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "llama-server"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries'\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("LLAMA_SERVER", str(broken))
    store = store_of(MODELS, tmp_path)
    with pytest.raises(
        OpsError, match=r"llama-server ended at start-up \(error while loading shared libraries\)"
    ):
        serve.start(store, tmp_path, front_end="llama-server", port=None, say=print)


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--port", "0", "'0' should be greater than or equal to 1"),
        ("--port", "http", "'http' should be a valid integer"),
        ("--front-end", "ollama", "'ollama' is not one of"),
    ],
)
def test_invalid_option_is_wrong_usage(
    option: str, value: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", option, value]) == 2
    assert line in capsys.readouterr().err
