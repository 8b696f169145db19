"""An endpoint of hand-written HCL that runs, and commands that deploy chosen settings over it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.commands.deploy import run as run_deploy
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.program import Program, Tool
from ops.terraform.run import Terraform
from ops.terraform.synth import Synthesized
from stacks.settings import Settings
from tests.declaration.settings import SETTINGS
from tests.real.adopt.running import STORAGE, Running
from tests.real.deploy import hand_written, running_provider
from tests.real.deploy.applied import apply
from tests.real.embedded.shared_cluster import SharedCluster

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def provided(
    apart: Path,
    tool: Program,
    provider_address: Callable[[Tool], str],
    shared_cluster: SharedCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """A provider that runs, and an empty cluster afterwards."""
    monkeypatch.setenv(running_provider.VARIABLE, provider_address(tool.tool))
    yield
    shared_cluster.empty()


@pytest.fixture
def declare(
    apart: Path, synth: Callable[..., Json], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Let commands deploy these settings, changed."""

    def change(**changed: Any) -> None:
        settings: Settings = replace(SETTINGS, **{"storage": STORAGE} | changed)
        document = synth(storage=settings.storage, state_schema=settings.state_schema)
        apart.mkdir(parents=True, exist_ok=True)
        (apart / "cdk.tf.json").write_text(json.dumps(document))
        synthesized = Synthesized(directory=apart, document=document)
        monkeypatch.setattr(run_deploy, "synthesize", lambda: synthesized)
        monkeypatch.setattr("stacks.production.PRODUCTION", settings)

    change()
    return change


@pytest.fixture
def running(
    cluster: EmbeddedCluster, apart: Path, tmp_path: Path, declare: Callable[..., None]
) -> Iterator[Running]:
    """The endpoint of the HCL, and a Deployment beside it that nothing touches."""
    del apart, declare
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with psycopg.connect(cluster.pg_conn_str, autocommit=True) as admin:
        admin.execute('drop schema if exists "llama-cpp" cascade')
    terraform = Terraform(hand_written.write(tmp_path / "hcl", schema_name="llama-cpp"))
    terraform.init()
    apply(terraform)
    with KubeApi(target) as api:
        found = Running(api=api, pg_conn_str=cluster.pg_conn_str, hcl=terraform)
        found.start_beside("notes")
        found.until_pods_run()
        yield found
