"""The port-forward with fake kubectls: its address, its errors, and its end."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops.cli import main
from ops.cluster import port_forward as forwards
from ops.cluster.environment import KubeTarget
from ops.cluster.port_forward import to_endpoint
from ops.errors import OpsError
from tests.declaration.settings import GATEWAY, SETTINGS, WITH_KEY
from tests.fakes.endpoint import FakeEndpoint

TARGET = KubeTarget(config_path=Path("/home/me/.kube/config"), context="home")

FORWARDS = """#!/bin/sh
echo $$ > "$(dirname "$0")/pid"
printf '%s\\n' "$@" > "$(dirname "$0")/words"
echo 'Forwarding from 127.0.0.1:{port} -> 8080'
exec sleep 60
"""
FAILS = """#!/bin/sh
echo 'a warning of no interest' >&2
echo 'Error from server (NotFound): services "llama-swap" not found' >&2
exit 1
"""
PENDING = """#!/bin/sh
echo 'error: unable to forward port because pod is not running. Current status=Pending' >&2
exit 1
"""
SILENT = '#!/bin/sh\necho $$ > "$(dirname "$0")/pid"\nexec sleep 60\n'
DEAF = """#!/bin/sh
trap '' TERM
sleep 60 &
echo $$ > "$(dirname "$0")/pid"
echo 'Forwarding from 127.0.0.1:1 -> 8080'
wait
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    return tmp_path


def kubectl(programs: Path, text: str) -> None:
    (programs / "kubectl").write_text(text)
    (programs / "kubectl").chmod(0o755)


def pid(programs: Path) -> int:
    """Return the process id of kubectl once it has started."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (programs / "pid").exists() and (programs / "pid").read_text().endswith("\n"):
            return int((programs / "pid").read_text())
        time.sleep(0.02)
    raise AssertionError("kubectl was not started")


def assert_gone(number: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {number} still runs")


def open_it(pool: str | None = None) -> None:
    with to_endpoint(TARGET, SETTINGS, pool=pool):
        raise AssertionError("it was opened")


def test_smoke_uses_the_port_forward_and_ends_it(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ops.cluster.environment.check_cluster", lambda: TARGET)
    with FakeEndpoint() as fake:
        kubectl(programs, FORWARDS.format(port=fake.url.rpartition(":")[2]))
        assert main(["smoke", "--model", "qwen3vl-4b"]) == 0
        assert f"{fake.url}, llama-swap" in capsys.readouterr().out
    assert fake.swaps == ["qwen3vl-4b"]
    assert_gone(pid(programs))
    words = (programs / "words").read_text().splitlines()
    assert words[:3] == [
        "--kubeconfig=/home/me/.kube/config",
        "--context=home",
        "--namespace=llama-cpp",
    ]
    assert words[-2:] == ["service/llama-swap", ":8080"]


def test_missing_kubectl_is_named(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(
        OpsError, match=r"^kubectl is not on PATH; install it, or pass the endpoint's address"
    ):
        open_it()


def test_failed_kubectl_shows_its_last_line(programs: Path) -> None:
    kubectl(programs, FAILS)
    with pytest.raises(
        OpsError,
        match=r"^kubectl port-forward to llama-cpp/llama-swap fails "
        r'\(Error from server \(NotFound\): services "llama-swap" not found\); pass the endpoint',
    ):
        open_it()


@pytest.mark.parametrize(("pool", "option"), [(None, ""), ("t4", " --pool t4")])
def test_a_pod_that_waits_needs_a_window_of_its_pool(
    programs: Path, pool: str | None, option: str
) -> None:
    kubectl(programs, PENDING)
    window = f"python -m ops window{option} --for 30m -- COMMAND borrows it"
    with pytest.raises(OpsError, match=f"its pod waits, perhaps for the card: {window}$"):
        open_it(pool)


def test_silent_kubectl_fails_after_the_timeout(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(programs, SILENT)
    monkeypatch.setattr(forwards, "_READY_TIMEOUT_S", 0.5)
    with pytest.raises(OpsError, match=r"fails \(no output\)"):
        open_it()
    assert_gone(pid(programs))


def test_kubectl_that_ignores_its_end_is_killed(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(programs, DEAF)
    monkeypatch.setattr(forwards, "_END_TIMEOUT_S", 0.3)
    with to_endpoint(TARGET, SETTINGS):
        number = pid(programs)
        numbers = [number, *(child.pid for child in psutil.Process(number).children())]
    assert len(numbers) == 2
    for number in numbers:
        assert_gone(number)


def test_smoke_as_a_consumer_reaches_the_gateway_that_the_stack_deploys(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl(programs, FORWARDS.format(port=1))
    settings = replace(SETTINGS, gateway=GATEWAY, **WITH_KEY)
    monkeypatch.setattr("stacks.declared.load_settings", lambda: settings)
    monkeypatch.setattr("ops.cluster.environment.check_cluster", lambda: TARGET)
    monkeypatch.setenv("LLAMA_API_KEY", "sk-of-n8n")
    assert main(["smoke", "--consumer", "n8n"]) == 1
    assert "cannot connect to http://127.0.0.1:1" in capsys.readouterr().err
    words = (programs / "words").read_text().splitlines()
    assert {"--context=home", "--namespace=llama-cpp"} <= set(words)
    assert words[-2:] == ["service/litellm", ":4000"]
    assert_gone(pid(programs))
