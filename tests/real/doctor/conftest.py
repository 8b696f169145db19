"""`doctor --cluster` as an operator runs it, against an embedded cluster and its database."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from llama_swap_config.cluster.storage import NfsStorage
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.commands.doctor.cluster import examine, volumes
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.synth import Synthesized
from tests.declaration.settings import SETTINGS
from tests.real.embedded.shared_cluster import SharedCluster

NODE = "/api/v1/nodes/k8s-node1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run said."""

    code: int
    checks: dict[str, dict[str, Any]]
    error: str

    def verdicts(self, *verdicts: str) -> list[str]:
        """The names of the checks with one of these verdicts."""
        return [name for name, check in self.checks.items() if check["verdict"] in verdicts]

    def blocks(self, name: str) -> dict[str, Any]:
        """Return a check that alone blocks the deploy."""
        assert self.code == 1
        assert self.verdicts("blocks", "not known") == [name]
        check = self.checks[name]
        assert self.error == (
            f"error: {name}: {check['found']}; expected {check['wanted']}. {check['remedy']}\n"
        )
        return check

    def hints(self, name: str) -> dict[str, Any]:
        """Return a check that does not block the deploy."""
        assert (self.code, self.error) == (0, "")
        check = self.checks[name]
        assert check["verdict"] == "hint"
        assert check["remedy"]
        return check


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctor:
    """The command, with settings of the test's own."""

    patch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    synth: Callable[..., dict[str, Any]]
    nfs: NfsStorage

    def declare(self, **changes: Any) -> None:
        """Make these the settings of stacks/production.py, with other `models` if they differ."""
        changes = {"storage": self.nfs} | changes
        document = self.synth(**changes)
        changes.pop("models", None)
        self.patch.setattr(
            examine,
            "synthesize",
            lambda outdir: Synthesized(directory=outdir, document=document),
        )
        self.patch.setattr("stacks.production.PRODUCTION", replace(SETTINGS, **changes))

    def run(self, *options: str) -> Result:
        """Run it."""
        self.capsys.readouterr()
        code = main(["doctor", "--cluster", "--json", *options])
        shown = self.capsys.readouterr()
        assert shown.out, shown.err
        answer = json.loads(shown.out)
        assert bool(answer["works"]["deploy"]) == (code == 0)
        return Result(
            code=code,
            checks={check["name"]: check for check in answer["checks"]},
            error=shown.err,
        )


def obey(check: dict[str, Any]) -> None:
    """Run the command line that a check prints."""
    assert printed(check).returncode == 0


def printed(check: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Return how the command line that a check prints ends."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    command = check["remedy"].split("`")[1]
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True)


@pytest.fixture
def doctor(
    cluster: EmbeddedCluster,
    synth: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Doctor]:
    """With the frozen settings, and an NFS server that answers."""
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(volumes, "_NFS_PORT", server.getsockname()[1])
        nfs = NfsStorage(server="127.0.0.1", path="/srv/models")
        made = Doctor(patch=monkeypatch, capsys=capsys, synth=synth, nfs=nfs)
        made.declare()
        yield made


@pytest.fixture
def node(api: KubeApi) -> Iterator[Callable[..., None]]:
    """Change the GPU node for one test."""
    before = api.get(NODE)
    assert before is not None

    def change(*, status: dict[str, Any] | None = None, **parts: Any) -> None:
        for path, body in ((NODE, parts), (f"{NODE}/status", {"status": status})):
            if any(body.values()):
                code, answer = api.request("PATCH", path, body)
                assert code == 200, answer

    yield change
    for path in (NODE, f"{NODE}/status"):
        now = api.get(NODE)
        assert now is not None
        before["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
        code, answer = api.request("PUT", path, before)
        assert code == 200, answer


@pytest.fixture
def put(
    api: KubeApi, shared_cluster: SharedCluster
) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Create objects for one test."""
    created: list[str] = []

    def create(collection: str, body: dict[str, Any]) -> None:
        code, answer = api.request("POST", collection, body)
        assert code == 201, answer
        created.append(f"{collection}/{body['metadata']['name']}")

    yield create
    for path in reversed(created):
        if path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
            shared_cluster.remove_namespace(api, path.rpartition("/")[2])
        else:
            api.request("DELETE", path, {"gracePeriodSeconds": 0})
