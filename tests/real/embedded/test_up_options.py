"""`up --gateway --monitoring`: LiteLLM before the served models, and a Prometheus beside them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from ops.cli import main
from ops.commands.up.gateway import ServedGateway
from ops.commands.up.run import Deployed, up
from ops.commands.up.summary import show_deployed
from ops.errors import OpsError
from ops.report.terminal import CONSOLE
from stacks.production import PRODUCTION
from tests.conftest import ROOT
from tests.declaration.consumers import CONSUMERS
from tests.real.embedded.up_apart import up_apart


@pytest.fixture(scope="module")
def deployed(open_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    state_dir = open_directory / "gateway-up" / "state"
    with up_apart(tmp_path_factory.mktemp("up"), state_dir):
        yield up(
            state_dir, settings=PRODUCTION, with_gateway=True, with_monitoring=True, say=print
        )


def gateway_of(deployed: Deployed) -> ServedGateway:
    assert deployed.gateway is not None
    return deployed.gateway


def keys_of(gateway: ServedGateway) -> dict[str, str]:
    return {name: file.read_text() for name, file in gateway.key_files.items()}


def ask(gateway: ServedGateway, consumer: str, model: str) -> tuple[int, Any]:
    answer = httpx2.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]},
        headers={"Authorization": f"Bearer {keys_of(gateway)[consumer]}"},
        timeout=60,
        trust_env=False,
    )
    return answer.status_code, answer.json()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on PATH")
def test_the_printed_curl_commands_of_two_consumers_are_answered_in_a_new_shell(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = gateway_of(deployed)
    show_deployed(CONSOLE, deployed)
    printed = capsys.readouterr().out
    commands = [line for line in printed.splitlines() if line.startswith("  curl")]
    of_gateway = [command for command in commands if gateway.url in command]
    assert len(of_gateway) == 2
    for command in of_gateway:
        answer = subprocess.run(
            ["sh", "-c", command],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(answer.stdout)["choices"], answer.stdout
    assert not [key for key in keys_of(gateway).values() if key in printed]


def test_the_page_shows_how_the_gateway_refuses(deployed: Deployed) -> None:
    gateway = gateway_of(deployed)
    page = " ".join((ROOT / "docs" / "local.md").read_text().split())
    status, body = ask(gateway, "photo-poster", "qwen3vl-4b")
    assert (status, body["error"]["code"]) == (403, "model_not_allowed")
    assert body["error"]["message"] in page
    assert ask(gateway, "photo-poster", "qwen3vl-8b")[0] == 200
    status, body = ask(gateway, "home-assistant", "qwen3vl-4b")
    assert (status, body["error"]["code"]) == (503, "model_in_use")
    assert re.sub(r"\b\d+ s\b", "60 s", body["error"]["message"]) in page


def test_prometheus_scrapes_the_exporter_and_the_gateway(deployed: Deployed) -> None:
    assert deployed.monitoring is not None
    deadline, up_now = time.monotonic() + 30, dict[str, str]()
    while up_now != {"llama-swap": "1", "litellm": "1"}:
        assert time.monotonic() < deadline, up_now
        time.sleep(0.5)
        answer = httpx2.get(
            f"{deployed.monitoring.prometheus_url}/api/v1/query?query=up", trust_env=False
        )
        found = answer.json()["data"]["result"]
        up_now = {each["metric"]["job"]: each["value"][1] for each in found}


def test_the_printed_status_command_works_in_a_new_shell(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    show_deployed(CONSOLE, deployed)
    (command,) = [
        line.split("#")[0]
        for line in capsys.readouterr().out.splitlines()
        if " -m ops status" in line
    ]
    answer = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith("Endpoint: serves")
    assert "qwen3vl-4b" in answer.stdout


def test_up_again_keeps_the_gateway_and_its_keys(deployed: Deployed) -> None:
    before, lines = keys_of(gateway_of(deployed)), list[str]()
    again = up(
        deployed.cluster.state_dir, settings=PRODUCTION, with_gateway=True, say=lines.append
    )
    assert again.gateway == deployed.gateway
    assert keys_of(gateway_of(again)) == before
    assert f"the gateway already runs at {gateway_of(deployed).url}" in lines
    assert again.monitoring is None
    assert "stopped the exporter and Prometheus" in lines
    assert running_in(deployed.cluster.state_dir / "monitoring") == []


def test_an_edit_of_the_consumers_takes_effect_at_the_same_address(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys_of(gateway_of(deployed))
    *others, n8n = CONSUMERS
    agent = replace(n8n, name="agent", namespace="agent", models=("minicpm-v-4-5",))
    changed = (*others, agent)
    monkeypatch.setattr("llama_swap_config.consumers.CONSUMERS", changed)
    again = up(deployed.cluster.state_dir, settings=PRODUCTION, with_gateway=True, say=print)
    gateway = gateway_of(again)
    assert gateway.url == gateway_of(deployed).url
    assert ask(gateway, "agent", "minicpm-v-4-5")[0] == 200
    kept = {consumer.name for consumer in others}
    assert {name: key for name, key in keys_of(gateway).items() if name != "agent"} == {
        name: before[name] for name in kept
    }
    refused = httpx2.get(
        f"{gateway.url}/v1/models",
        headers={"Authorization": f"Bearer {before['n8n']}"},
        trust_env=False,
    )
    assert refused.status_code == 401


def test_down_leaves_nothing_of_the_gateway(deployed: Deployed) -> None:
    state_dir = deployed.cluster.state_dir
    assert [line for line in running_in(state_dir) if "--config" in line]
    assert main(["down", "--state-dir", str(state_dir)]) == 0
    assert running_in(state_dir) == []


def running_in(folder: Path) -> list[list[str]]:
    """Return the command lines that name a directory."""
    found = psutil.process_iter(["cmdline"])
    lines = [process.info["cmdline"] or [] for process in found]
    return [line for line in lines if any(str(folder) in word for word in line)]


def test_a_gateway_needs_a_consumer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_swap_config.consumers.CONSUMERS", ())
    with pytest.raises(OpsError, match=r"CONSUMERS of .* is empty; expected at least"):
        up(tmp_path / "state", settings=PRODUCTION, with_gateway=True, say=print)
    assert not (tmp_path / "state").exists()
