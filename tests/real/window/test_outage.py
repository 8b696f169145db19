"""A window whose API server goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops.embedded.admin_api import AdminApi
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.machine.processes import Processes
from tests.real.window.shared_card import Card
from tests.real.window.window_process import FAST, ML, Run

ML_TEXT = "/".join(ML)


@contextmanager
def api_server_away(cluster: EmbeddedCluster) -> Iterator[None]:
    """Kill it, and start it again with what it was started with."""
    processes = Processes(cluster.state_dir)
    server = psutil.Process(processes.pid("kube-apiserver"))
    command, environment = server.cmdline(), server.environ()
    server.kill()
    processes.stop("kube-apiserver")
    try:
        yield
    finally:
        api = AdminApi.of(cluster.kubeconfig)
        deadline = time.monotonic() + 90
        while not is_ready(api):
            assert time.monotonic() < deadline, processes.log("kube-apiserver").read_text()[-2000:]
            # As the kubelet does: on a busy machine it once did not come back.
            if not processes.is_running("kube-apiserver"):
                processes.start("kube-apiserver", command, env=environment)
            time.sleep(0.1)


def is_ready(api: AdminApi) -> bool:
    try:
        return api.is_ready()
    except OSError:
        return False


@pytest.mark.parametrize("when", ["open", "giving back"])
def test_window_survives_an_api_server_outage(
    cluster: EmbeddedCluster, card: Card, run: Run, when: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    timing = replace(FAST, renew_s=0.2)
    window = replace(
        run, command=("sh", "-c", f"until [ -e {go} ]; do sleep 0.05; done"), timing=timing
    ).start()
    card.until(lambda: "running sh" in run.output())
    with api_server_away(cluster):
        if when == "giving back":
            go.touch()
        until_said(run, "the API server does not answer")
    if when == "open":
        until_said(run, "the API server answers again")
        go.touch()
    # Giving back says so only if its own first request finds the server away.
    window.join(60)
    assert window.exitcode == 0, run.output()
    card.until(card.as_at_start)


def is_back(card: Card) -> bool:
    try:
        return card.lease() is not None
    except OpsError:
        return False


def until_said(run: Run, line: str) -> None:
    deadline = time.monotonic() + 30
    while line not in run.output():
        assert time.monotonic() < deadline, run.output()
        time.sleep(0.05)


def test_lasting_outage_names_what_restores_the_tenants(
    cluster: EmbeddedCluster, card: Card, run: Run
) -> None:
    timing = replace(FAST, patience_s=0.5)
    window = replace(run, command=("sleep", "2"), timing=timing).start()
    card.until(lambda: "running sleep" in run.output())
    with api_server_away(cluster):
        window.join(60)
    assert window.exitcode == 1
    assert f"not restored: {ML_TEXT}. Run python -m ops window --restore, or wait" in run.output()
    card.until(lambda: is_back(card))
    card.age()
    code, output = replace(run, mode="restore").finish()
    assert code == 0, output
    card.until(card.as_at_start)
