"""On which device a model runs: the real llama-server, with an RPC server as its GPU."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.server_command import ServerSettings
from ops.commands.smoke.run import Check, run
from ops.endpoint import device as devices
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.machine.llama_build import BUILD
from ops.machine.llama_server import rpc_programs
from ops.machine.ports import free_ports
from tests.declaration.registry import REGISTRY
from tests.real.drift.system import load, loaded
from tests.real.serve.served import served

ONE = REGISTRY[:1]
A = ONE[0].id


@pytest.fixture(params=get_args(FrontEndName))
def front_end(request: pytest.FixtureRequest) -> FrontEndName:
    chosen: FrontEndName = request.param
    return chosen


@pytest.fixture(scope="session")
def llama_server() -> Path:
    return rpc_programs(print) / "llama-server"


@pytest.fixture(autouse=True)
def environment(llama_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    monkeypatch.setenv("LLAMA_SERVER", str(llama_server))


@pytest.fixture
def gpu(llama_server: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that every llama-server of the test finds as the device RPC0."""
    port = free_ports()
    command = [
        str(llama_server.with_name("ggml-rpc-server")), "-H", "127.0.0.1", "-p", str(port),
        "-d", "CPU",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 20
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                assert time.monotonic() < deadline
                time.sleep(0.02)
            monkeypatch.setenv("LLAMA_ARG_RPC", f"127.0.0.1:{port}")
            yield
        finally:
            process.kill()


def smoke(
    url: str,
    server: ServerSettings,
    own_log: Callable[[], str] | None = None,
    engine_build: int = BUILD,
) -> dict[str, Check]:
    """The checks of the model, by name."""
    with Endpoint(url) as endpoint:
        result = run(
            endpoint,
            registry=ONE,
            models=ONE,
            key_declared=False,
            server=server,
            engine_build=engine_build,
            own_log=own_log,
            random_weights=True,
            timeout_s=60,
            say=lambda _line: None,
            warn=print,
        )
    return {check.name: check for check in result.checks if check.model == A}


def test_a_model_on_the_declared_gpu_is_ok(
    front_end: FrontEndName, llama_server: Path, gpu: None, tmp_path: Path
) -> None:
    with served(ONE, tmp_path, front_end, device="RPC0") as at:
        server = ServerSettings(binary=str(llama_server), device="RPC0")
        checks = smoke(at.url, server, own_log=at.log.read_text)
    assert checks["text"].outcome == "ok"
    assert (checks["device"].outcome, checks["device"].note) == ("ok", f"RPC0, b{BUILD}")


def test_the_cpu_where_a_gpu_is_declared_is_a_failure(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path
) -> None:
    with served(ONE, tmp_path, front_end) as at:
        server = ServerSettings(binary=str(llama_server))
        checks = smoke(at.url, server, own_log=at.log.read_text)
    assert checks["text"].outcome == "ok"
    assert checks["device"].outcome == "failed"
    assert checks["device"].reason.startswith("the model runs on CPU; expected CUDA0.")


def test_another_build_than_the_declared_one_is_a_failure(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path
) -> None:
    with served(ONE, tmp_path, front_end) as at:
        server = ServerSettings(binary=str(llama_server), device="none")
        checks = smoke(at.url, server, own_log=at.log.read_text, engine_build=BUILD + 1)
    assert checks["text"].outcome == "ok"
    assert checks["device"].outcome == "failed"
    assert checks["device"].reason == (
        f"the model runs on llama.cpp b{BUILD}; expected b{BUILD + 1}. Declare the image and its "
        "engine_build together in stacks/production.py, and deploy"
    )


def test_the_router_without_its_own_log_is_not_known(
    llama_server: Path, gpu: None, tmp_path: Path
) -> None:
    with served(ONE, tmp_path, "llama-server", device="RPC0") as at:
        checks = smoke(at.url, ServerSettings(binary=str(llama_server), device="RPC0"))
    assert checks["device"].outcome == "not known"
    assert checks["device"].reason == (
        "llama-server's router has no address for a model's log; only without --url is the pod's "
        "log read; it was started with --device RPC0, and llama-server ends where that is missing"
    )


def test_layers_on_the_cpu_are_seen_beside_a_gpu(
    llama_server: Path, gpu: None, tmp_path: Path
) -> None:
    on_cpu = ServerSettings(gpu_layers=0)
    with served(ONE, tmp_path, "llama-swap", settings=on_cpu, device="RPC0") as at:
        checks = smoke(at.url, ServerSettings(binary=str(llama_server), device="RPC0"))
    assert checks["device"].reason.startswith("the model runs on CPU,RPC0; expected RPC0.")


def test_a_laptop_serves_from_the_cpu_without_a_failure(tmp_path: Path) -> None:
    with served(ONE, tmp_path, "llama-swap") as at:
        checks = smoke(at.url, ServerSettings())
    assert (checks["device"].outcome, checks["device"].note) == ("ok", f"CPU, b{BUILD}")


def test_a_missing_device_ends_llama_server_at_once(llama_server: Path) -> None:
    result = subprocess.run(
        [str(llama_server), "--device", "CUDA0", "--model", "none.gguf"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 1
    with pytest.raises(CheckError, match="it finds no device CUDA0"):
        devices.of_log(result.stderr)


def test_a_missing_device_is_the_reason_of_a_failed_load(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path
) -> None:
    with served(ONE, tmp_path, front_end, device="CUDA0") as at:
        server = ServerSettings(binary=str(llama_server))
        checks = smoke(at.url, server, own_log=at.log.read_text)
    assert checks["text"].outcome == "failed"
    assert "it finds no device CUDA0" in checks["device"].reason


def test_a_model_that_was_asked_much_is_not_known(llama_server: Path, tmp_path: Path) -> None:
    """llama-swap keeps the latest 100 KiB of a model's log."""
    with served(ONE, tmp_path, "llama-swap") as at, Endpoint(at.url) as endpoint:
        load(at.url, A)
        front_end = FRONT_ENDS["llama-swap"]
        assert (
            str(devices.of_model(endpoint, front_end, A, started=None, own_log=None, timeout_s=10))
            == "CPU"
        )
        for _ in range(80):
            load(at.url, A)
        found = devices.of_model(endpoint, front_end, A, started=None, own_log=None, timeout_s=10)
    assert str(found) == "not known (its log no longer reaches back to the load)"


def test_reading_a_log_loads_nothing(tmp_path: Path) -> None:
    with served(ONE, tmp_path, "llama-swap") as at, Endpoint(at.url) as endpoint:
        found = devices.of_model(
            endpoint, FRONT_ENDS["llama-swap"], A, started=None, own_log=None, timeout_s=1
        )
        assert found == devices.Device(
            names=None, reason="its log cannot be read: no answer within 1 s"
        )
        assert loaded(at.url) == ()


def test_the_log_names_the_device_at_the_rendered_verbosity_only(tmp_path: Path) -> None:
    quiet = replace(ServerSettings(), log_verbosity=3)
    with (
        served(ONE, tmp_path, "llama-swap", settings=quiet) as at,
        Endpoint(at.url) as endpoint,
    ):
        load(at.url, A)
        found = devices.of_model(
            endpoint, FRONT_ENDS["llama-swap"], A, started=None, own_log=None, timeout_s=10
        )
    assert found.reason.endswith("llama_swap.server.log_verbosity is below 4")
