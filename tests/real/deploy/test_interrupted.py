"""A deploy that is ended at any of its writes; one more deploy records what exists."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.cluster.environment import KubeTarget
from ops.embedded import postgres
from ops.terraform.program import Program, Tool
from ops.terraform.run import StateNotWrittenError, Terraform
from tests.declaration.registry import REGISTRY
from tests.declaration.resources import RESOURCES
from tests.fakes.write_proxy import write_proxy
from tests.real.deploy.interruption import Point, Which, World, points
from tests.real.deploy.running_provider import VARIABLE, address_for, running
from tests.real.deploy.tools import use
from tests.real.embedded.shared_cluster import SharedCluster

POINTS = int(os.environ.get("DEPLOY_KILLS", "0"))
"""How many deploys of each tool are ended, their providers too (0: three, and one provider that
keeps running for all)."""
WRITES: dict[Which, int] = {"first": len(RESOURCES), "second": 8}
"""The second deploy removes a model and changes another one."""
ALL = [
    *points("terraform", WRITES, POINTS or 3, 0),
    *points("tofu", WRITES, POINTS or 3, 5),
]


@pytest.fixture(scope="module")
def world(
    shared_cluster: SharedCluster,
    provider: Path,
    synth: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    cluster, folder = shared_cluster.cluster, tmp_path_factory.mktemp("interrupted")
    first, *others = REGISTRY
    versions = (synth(), synth((replace(first, context=4096), *others[:-1])))
    target = KubeTarget(config_path=folder / "kubeconfig", context=cluster.kube_context)
    with (
        pytest.MonkeyPatch.context() as patch,
        write_proxy(cluster.kubeconfig, target.config_path) as proxy,
    ):
        environment = cluster.environment() | {"KUBE_CONFIG_PATH": str(target.config_path)}
        for name, value in environment.items():
            patch.setenv(name, value)
        world = World(shared_cluster, proxy, target, folder, versions)
        if POINTS:
            yield world
        else:
            with running(provider, folder / "provider.log", environment) as address:
                patch.setenv(VARIABLE, address)
                yield world
    shared_cluster.empty()


def use_tool(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find a tool, and that tool the running provider."""
    use(monkeypatch, tool)
    if address := os.environ.get(VARIABLE):
        monkeypatch.setenv(VARIABLE, address_for(address, tool))


@pytest.mark.parametrize("point", ALL, ids=str)
def test_a_deploy_that_is_ended_at_any_write_is_completed_by_the_next(
    point: Point, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_tool(point.tool, monkeypatch)
    version = world.begin(point.tool, point.which)
    before = world.uids()
    output = world.end(point, version)
    left = world.uids()
    for name in world.kept & before.keys():
        assert left[name] == before[name], output
    lines = world.deploy(point.tool, version, elsewhere=point.elsewhere)
    found = world.uids()
    # Nothing is missing, nothing was made twice, and nothing that a deploy had made was replaced.
    assert found.keys() == world.declared(version), (output, lines)
    for name in left.keys() & found.keys():
        assert found[name] == left[name], (name, output, lines)
    if not point.elsewhere:
        directory = world.directory(point.tool)
        assert not [*directory.glob("plan-*"), *directory.glob("adopt.tf.json")]


@pytest.mark.parametrize(
    ("tool", "elsewhere"),
    [("terraform", True), ("tofu", False)],
    indirect=["tool"],
    ids=["elsewhere", "here"],
)
def test_postgresql_that_stops_in_an_apply_loses_nothing(
    world: World,
    tool: Program,
    postgresql: str,
    open_directory: Path,
    elsewhere: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_tool(tool.tool, monkeypatch)
    monkeypatch.setenv("PG_CONN_STR", postgresql)
    data = open_directory / Path(__file__).stem
    world.empty()
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute('drop schema if exists "llama-cpp" cascade')

    stopped = threading.Event()

    def stop() -> bool:
        postgres.stop(data)
        stopped.set()
        return True

    output = world.disturb(tool.tool, 0, 10, lambda _pid: stop)
    assert stopped.wait(60)
    postgres.start(data)
    last = output.splitlines()[-1]
    assert f"{tool.product} could not write its state and left it in" in last
    left = world.uids()
    terraform = Terraform(world.directory(tool.tool))
    unwritten = terraform.directory / "errored.tfstate"
    if elsewhere:
        (line,) = world.deploy(tool.tool, 0, elsewhere=True)
        assert line.startswith(f"the state lacks {len(left)} objects that the cluster has")
    with pytest.raises(StateNotWrittenError, match=r"state push errored\.tfstate"):
        world.deploy(tool.tool, 0)
    # Elsewhere, the serials decide whether it is refused; both ways nothing is lost.
    pushed = terraform.run("state", "push", unwritten.name)
    assert pushed.returncode == 0 or elsewhere, pushed.stderr
    unwritten.unlink()
    world.deploy(tool.tool, 0)
    found = world.uids()
    assert found.keys() == world.declared(0)
    assert left.items() <= found.items()
