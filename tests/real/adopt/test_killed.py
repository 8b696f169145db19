"""A take-over that is ended at any of its writes; the same command completes it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.cluster.environment import KubeTarget
from ops.commands.adopt.preview import preview
from ops.commands.adopt.take_over import TakeOver
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.program import Program, Tool
from ops.terraform.run import Terraform
from tests.declaration.resources import RESOURCES
from tests.fakes.write_proxy import WriteProxy, write_proxy
from tests.real.adopt.running import DEPLOYMENT, NAMESPACE, STORAGE, Running, drop_state
from tests.real.deploy import hand_written, running_provider
from tests.real.deploy.applied import finds_changes
from tests.real.deploy.deploy_process import ENDS, End, deploy, ending, start

Json = dict[str, Any]

KILLS = int(os.environ.get("ADOPT_KILLS", "10"))
"""How many take-overs are ended."""
WRITES = 22
"""The writes of a take-over: what is added, changed, deleted and made anew."""
TOOLS: tuple[Tool, ...] = ("terraform", "terraform", "tofu")
POINTS = [
    (
        1 + (index * 7) % WRITES,
        ENDS[index % len(ENDS)],
        index % 2 == 0,
        index % 5 == 1,
        TOOLS[index % len(TOOLS)],
    )
    for index in range(KILLS)
]
"""Of each: the write, what ends it, whether another checkout completes it, whether no state has
the objects, and the tool."""
POLICY = TakeOver(namespace=hand_written.NAMESPACE)


@pytest.fixture(scope="module")
def proxied(
    cluster: EmbeddedCluster, provider: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[WriteProxy, KubeTarget, str]]:
    """A proxy in front of the API server, its kubeconfig, and a provider behind it."""
    folder = tmp_path_factory.mktemp("proxied")
    target = KubeTarget(config_path=folder / "kubeconfig", context=cluster.kube_context)
    with write_proxy(cluster.kubeconfig, target.config_path) as proxy:
        environment = cluster.environment() | {"KUBE_CONFIG_PATH": str(target.config_path)}
        with running_provider.running(provider, folder / "provider.log", environment) as address:
            yield proxy, target, address


@pytest.mark.parametrize(
    ("write", "end", "elsewhere", "without_state", "tool"), POINTS, indirect=["tool"]
)
def test_a_take_over_that_is_ended_is_completed_by_the_next(
    running: Running,
    proxied: tuple[WriteProxy, KubeTarget, str],
    synth: Callable[..., Json],
    tool: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: int,
    end: End,
    elsewhere: bool,
    without_state: bool,
) -> None:
    proxy, target, address = proxied
    if without_state:
        drop_state(running.pg_conn_str)
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(target.config_path))
    monkeypatch.setenv(running_provider.VARIABLE, running_provider.address_for(address, tool.tool))
    directory, log = tmp_path / "stack", tmp_path / "log"
    directory.mkdir()
    (directory / "cdk.tf.json").write_text(json.dumps(synth(storage=STORAGE)))
    uids, notes = running.uids(), running.pods()["notes"]

    proxy.arm(0, lambda: True, after=False)
    process = start(directory, target, log, os.environ, policy=POLICY)
    proxy.arm(write, ending(process.pid or 0, end), after=write % 2 == 0)
    process.join(120)
    assert process.exitcode not in (None, 0), log.read_text()
    process.close()
    if end == "kill terraform":
        end_providers(directory)

    assert running.uids() == uids, log.read_text()
    made = running.api.get(DEPLOYMENT)
    left = {} if made is None or is_of_the_hcl(made) else running.uids(DEPLOYMENT)
    if elsewhere:
        shutil.copytree(directory, tmp_path / "elsewhere", ignore=shutil.ignore_patterns(".*"))
        directory = tmp_path / "elsewhere"
        for name in ("apply.log", "errored.tfstate", "adopt.tf.json"):
            (directory / name).unlink(missing_ok=True)
    lines: list[str] = []
    with redirect_stdout(StringIO()) as printed:
        deploy(directory, target, lines.append, policy=POLICY, document=preview)
    for kind in ("Deployment llama-swap", "Service llama-swap"):
        assert f"{kind}, until now" not in printed.getvalue()
    assert running.uids() == uids, lines
    # A Deployment that the first take-over had made is not made again.
    assert left.items() <= running.uids(DEPLOYMENT).items()
    assert not is_of_the_hcl(running.api.get(DEPLOYMENT) or {})
    running.until_pods_run()
    assert running.pods()["notes"] == notes
    terraform = Terraform(directory)
    entries = terraform.checked("state", "list").split()
    assert len(entries) == len(RESOURCES)
    assert not hand_written.ADDRESSES & set(entries)
    assert not finds_changes(terraform)
    claim = running.api.get(f"{NAMESPACE}/persistentvolumeclaims/llama-cpp-models")
    assert claim is not None
    assert claim["status"]["phase"] == "Bound"


def is_of_the_hcl(deployment: Json) -> bool:
    return "app" in deployment["spec"]["selector"]["matchLabels"]


def end_providers(directory: Path) -> None:
    """End the providers that a killed Terraform leaves; nothing else does."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(directory) and process.ppid() == 1:
                process.kill()
