"""`up` on a machine where Terraform cannot get the provider."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llama_swap_config.cluster.storage import LocalSsdStorage
from llama_swap_config.registry import REGISTRY
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.commands.serve import run as serve
from ops.commands.up.run import Deployed, up
from ops.commands.up.summary import show_deployed
from ops.embedded import cluster as embedded
from ops.errors import OpsError
from ops.machine.processes import Processes
from ops.report.terminal import CONSOLE
from ops.terraform.program import find
from stacks.production import PRODUCTION
from tests.declaration.resources import RESOURCES
from tests.ops.commands.smoke.smoke_runs import KEYED, declare_key
from tests.real.embedded.production_file import declare_production
from tests.real.embedded.up_apart import up_apart
from tests.real.window.shared_card import SWAP, Card
from tests.real.window.window_process import ML


@pytest.fixture(scope="module")
def deployed(open_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    state_dir = open_directory / "up" / "state"
    with up_apart(tmp_path_factory.mktemp("up"), state_dir):
        yield up(state_dir, settings=PRODUCTION, say=print)


@pytest.fixture
def running(deployed: Deployed) -> Deployed:
    """The running deployment, restarted if the test before stopped a part."""
    return up(deployed.cluster.state_dir, settings=PRODUCTION, say=print)


def test_up_without_a_provider_applies_server_side_and_names_the_reason(
    deployed: Deployed,
) -> None:
    assert deployed.way.startswith(
        f"server-side apply, because {find(None).tool} cannot get the provider "
        "hashicorp/kubernetes 2.38.0"
    )
    assert len(deployed.objects) == len(RESOURCES)
    assert deployed.outcome.of("waits", "failed") == ()


def test_each_model_is_downloaded_served_and_answers_about_a_picture(deployed: Deployed) -> None:
    assert deployed.store.status().is_whole
    assert [answer.model for answer in deployed.answers] == [model.id for model in REGISTRY]
    assert all(answer.text.strip() for answer in deployed.answers)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_smoke_passes_through_a_port_forward_to_the_pod(
    running: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", "--random-weights"]) == 0
    assert running.served.url not in capsys.readouterr().out


def test_second_up_reuses_the_front_end_and_ends_a_gateway(running: Deployed) -> None:
    lines: list[str] = []
    state_dir = running.cluster.state_dir
    gateway = Processes(state_dir / "gateway")
    gateway.start("gateway", [shutil.which("sleep") or "sleep", "600"])
    again = up(state_dir, settings=PRODUCTION, say=lines.append)
    assert not gateway.is_running("gateway")
    assert any(line.startswith("stopped the gateway; `") for line in lines)
    assert again.served == running.served
    assert f"{again.served.front_end} already serves at {again.served.url}" in lines


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"namespace": "vision"}, "namespace llama-cpp has the endpoint of an earlier `up`"),
        (
            {"storage": LocalSsdStorage(node="k8s-node1", path="/srv/models")},
            r"the API server refuses PersistentVolume llama-cpp-models \(.* is immutable",
        ),
    ],
    ids=["the namespace", "the volume"],
)
def test_an_edit_that_only_terraform_could_deploy_names_what_to_type(
    running: Deployed,
    synth: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    reason: str,
) -> None:
    settings = replace(PRODUCTION, **changes)
    declare_production(monkeypatch, synth, settings)
    begin = r"To start over: `.*/python -m ops down --delete-data --state-dir .*/state`"
    with pytest.raises(OpsError, match=f"{reason}.*{begin}"):
        up(running.cluster.state_dir, settings=settings, say=print)


def test_up_passes_while_a_tenant_has_the_card(running: Deployed) -> None:
    target = KubeTarget(
        config_path=running.cluster.kubeconfig, context=running.cluster.kube_context
    )
    lines: list[str] = []
    with KubeApi(target) as api:
        card = Card(api)
        card.scale(ML, 1)
        try:
            card.until(lambda: card.ready(ML) == 1)
            again = up(running.cluster.state_dir, settings=PRODUCTION, say=lines.append)
        finally:
            card.scale(ML, 0)
            card.until(lambda: card.ready(SWAP) == 1)
    assert again.outcome.of("waits", "failed") == ()
    (waiting,) = (each for each in again.outcome.of("declared") if each.kind == "Pod")
    assert "Insufficient nvidia.com/gpu" in waiting.reason
    assert "; immich/immich-machine-learning-" in waiting.reason
    assert waiting.reason.endswith("holds the card")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_up_requires_the_declared_key_and_env_gives_it_to_smoke(
    running: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare_key(monkeypatch)
    monkeypatch.setenv("LLAMA_API_KEY", "")
    monkeypatch.delenv("KEY_GATEWAY", raising=False)
    state_dir = running.cluster.state_dir
    again = up(state_dir, settings=KEYED, say=print)
    assert [answer.model for answer in again.answers] == [model.id for model in REGISTRY]
    refused = httpx2.get(f"{again.served.url}/v1/models", trust_env=False)
    assert refused.status_code == 401

    capsys.readouterr()
    show_deployed(CONSOLE, again)
    printed = capsys.readouterr().out
    assert main(["env", "--state-dir", str(state_dir)]) == 0
    shown = capsys.readouterr()
    (line,) = (line for line in shown.out.splitlines() if line.startswith("export LLAMA_API_KEY"))
    key = subprocess.run(
        ["sh", "-c", f'{line}; printf %s "$LLAMA_API_KEY"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert key
    assert key not in printed + shown.out + shown.err
    monkeypatch.setenv("LLAMA_API_KEY", key)
    assert main(["smoke", "--random-weights"]) == 0
    shown = capsys.readouterr()
    assert "key           ok\n" in shown.out
    assert key not in shown.out + shown.err
    monkeypatch.setenv("LLAMA_API_KEY", "")
    assert main(["smoke", "--random-weights"]) == 1


def test_down_stops_cluster_and_front_end(running: Deployed) -> None:
    state_dir = running.cluster.state_dir
    assert serve.find(state_dir) is not None
    assert main(["down", "--state-dir", str(state_dir)]) == 0
    assert serve.find(state_dir) is None
    assert embedded.find(state_dir) is None
