"""An endpoint of hand-written HCL that runs, and commands that deploy chosen settings over it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.commands.deploy import run as run_deploy
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.program import Program, Tool
from ops.terraform.synth import Synthesized
from stacks.settings import Settings
from tests.declaration.settings import SETTINGS
from tests.real.adopt.running import STORAGE, Running, hand_written_endpoint
from tests.real.deploy import running_provider
from tests.real.embedded.shared_cluster import SharedCluster

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def provided(
    apart: Path,
    tool: Program,
    provider_address: Callable[[Tool], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider that runs."""
    del apart
    monkeypatch.setenv(running_provider.VARIABLE, provider_address(tool.tool))


@pytest.fixture
def declare(
    apart: Path, synth: Callable[..., Json], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Let commands deploy these settings, changed."""

    def change(**changed: Any) -> None:
        settings: Settings = replace(SETTINGS, **{"storage": STORAGE} | changed)
        document = synth(**{"storage": STORAGE} | changed)
        apart.mkdir(parents=True, exist_ok=True)
        (apart / "cdk.tf.json").write_text(json.dumps(document))
        synthesized = Synthesized(directory=apart, document=document)
        monkeypatch.setattr(run_deploy, "synthesize", lambda: synthesized)
        monkeypatch.setattr("stacks.production.PRODUCTION", settings)

    change()
    return change


@pytest.fixture
def running(
    cluster: EmbeddedCluster,
    shared_cluster: SharedCluster,
    tmp_path: Path,
    declare: Callable[..., None],
) -> Iterator[Running]:
    """The endpoint of the HCL."""
    del declare
    with hand_written_endpoint(cluster, tmp_path / "hcl") as found:
        yield found
    shared_cluster.empty()
