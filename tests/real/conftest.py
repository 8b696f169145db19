"""What the tests against real servers share: an embedded cluster, and the provider if any."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.sharing import ByWindow
from ops.cluster import workload_states
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.machine.llama_server import llama_server as find_llama_server
from ops.terraform.manifests import manifests
from ops.terraform.program import Program, Tool, find, survey
from tests.declaration.settings import SETTINGS
from tests.fakes.immich_queues import FakeImmich
from tests.fakes.web_pictures import web_pictures
from tests.real.deploy.running_provider import VARIABLE, address_for, running
from tests.real.deploy.tools import provider_of, use
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.window.shared_card import Card
from tests.real.window.window_process import ML, Run


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def llama_server() -> Path:
    """The real program; built once, where this machine has none."""
    return find_llama_server(print)


@pytest.fixture(scope="module")
def api(cluster: EmbeddedCluster) -> Iterator[KubeApi]:
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as connected:
        yield connected


@pytest.fixture(scope="module")
def kube(cluster: EmbeddedCluster) -> Iterator[Cluster]:
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with Cluster(target) as connected:
        yield connected


@pytest.fixture(scope="session", autouse=True)
def terraform_or_opentofu() -> None:
    """Build OpenTofu where this machine has neither, as `make up` does."""
    if not survey().refusal:
        find(print)


@pytest.fixture(scope="module", autouse=True)
def ready_at_once() -> Iterator[None]:
    """Let a ready pod count at once: kwok's pods never end by themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workload_states, "_STEADY_S", {False: 0, True: 0})
        yield


@pytest.fixture
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program that commands find, or one that `BOTH_TOOLS` names."""
    named: Tool | None = getattr(request, "param", None)
    return find(None) if named is None else use(monkeypatch, named)


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Kubernetes provider's program; skips where Terraform cannot get it."""
    return provider_of(find(None), tmp_path_factory.mktemp("provider"))


@pytest.fixture(scope="session")
def provider_address(
    provider: Path, shared_cluster: SharedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Tool], str]]:
    """Where a tool reaches a provider that serves the shared cluster."""
    log = tmp_path_factory.mktemp("provider") / "log"
    with running(provider, log, shared_cluster.cluster.environment()) as address:
        yield partial(address_for, address)


@pytest.fixture(scope="module")
def running_provider(provider_address: Callable[[Tool], str]) -> Iterator[None]:
    """Spare Terraform the start of the provider, which costs more than a plan itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, provider_address(find(None).tool))
        yield


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch, cluster: EmbeddedCluster, tmp_path: Path) -> Path:
    """The embedded cluster's environment, and a cdktf.out of this test's own."""
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CDKTF_OUTDIR", str(tmp_path / "cdktf.out"))
    return tmp_path / "cdktf.out" / "stacks" / "llama-cpp"


@pytest.fixture(scope="module")
def shared_card(
    cluster: EmbeddedCluster, kube: Cluster, synth: Callable[..., dict[str, Any]]
) -> Iterator[Card]:
    """The stack beside a machine learning that has the card."""
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as api:
        found = Card(api)
        found.scale(ML, 1)
        found.until(lambda: found.ready(ML))
        # The CronJob would start a Job amid these tests.
        without_cron_job = ByWindow(tenants=SETTINGS.tenants, restore_schedule=None)
        kube.apply(manifests(synth(sharing=without_cron_job)))
        found.until(found.as_at_start)
        yield found


@pytest.fixture
def card(shared_card: Card) -> Card:
    """As every test of a window finds it."""
    shared_card.reset()
    return shared_card


@pytest.fixture
def run(cluster: EmbeddedCluster, tmp_path: Path) -> Run:
    """A window of the cluster, in a process of its own."""
    return Run(
        target=KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context),
        log=tmp_path / "log",
    )


@pytest.fixture
def immich() -> Iterator[FakeImmich]:
    """Immich's queues, by the API of now."""
    with FakeImmich() as found:
        yield found


@pytest.fixture(scope="session")
def web() -> Iterator[str]:
    """The address of a web server with pictures."""
    with web_pictures() as url:
        yield url
