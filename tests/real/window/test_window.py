"""A window on a real control plane: llama-swap gets the card, and everything is restored."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from in_pod.gpu_window.record import Tenant
from ops.cli import main
from ops.embedded.cluster import EmbeddedCluster
from ops.machine.processes import Processes
from stacks.production import PRODUCTION
from tests.fakes.immich_queues import FakeImmich
from tests.real.window import window_process
from tests.real.window.shared_card import SWAP, Card
from tests.real.window.window_process import FAST, ML, WHILE_OPEN, Run

ML_TEXT = "/".join(ML)


@pytest.fixture
def endpoint(cluster: EmbeddedCluster) -> Iterator[None]:
    """A server at the address where a port-forward to llama-swap's pod ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = f"hello from {self.path}".encode()
            self.send_response(200)
            # A port-forward does not tell the client that the connection was closed.
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", cluster.endpoint_port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield
        server.shutdown()


# ---- What it is for --------------------------------------------------------------------------


@pytest.mark.usefixtures("apart", "endpoint")
def test_command_gets_the_endpoint_and_passes_on_its_exit_code(
    card: Card, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("IMMICH_API_KEY", raising=False)
    production = replace(PRODUCTION, sharing=window_process.settings(None))
    monkeypatch.setattr("stacks.production.PRODUCTION", production)
    program = (
        "import os, sys, urllib.request as r; o = r.build_opener(r.ProxyHandler({}));"
        "print([o.open(os.environ[n] + '/models').read().decode()"
        " for n in ('LLAMA_SWAP_URL', 'OPENAI_BASE_URL')], sys.stdin.read()); sys.exit(7)"
    )
    (read, write), stdin = os.pipe(), os.dup(0)
    os.write(write, b"through stdin")
    os.close(write)
    os.dup2(read, 0)
    try:
        code = main(["window", "--for", "60s", "--", sys.executable, "-c", program])
    finally:
        os.dup2(stdin, 0)
        os.close(read)
        os.close(stdin)
    out, err = capfd.readouterr()
    assert code == 7, out + err
    # A program may read what the command prints.
    assert out == "['hello from /models', 'hello from /v1/models'] through stdin\n"
    assert "everything is restored" in err
    card.until(card.as_at_start)


def test_llama_swap_has_the_card_during_the_window(card: Card, run: Run) -> None:
    window = replace(run, command=WHILE_OPEN).start()
    card.until(lambda: "running sh" in run.output())
    assert (card.replicas(ML), len(card.pods(ML))) == (0, 0)
    assert card.ready(SWAP) == 1
    record = card.record()
    assert record.tenants == (
        Tenant(kind="Deployment", namespace=ML[0], name=ML[1], replicas=1, ready=1),
    )
    # The API server tells the time in whole seconds.
    assert 0 < record.deadline - card.api.now() <= run.for_s + 1
    assert run.end(window) == 128 + signal.SIGTERM, run.output()
    assert "ended by signal 15" in run.output()
    card.until(card.as_at_start)


def test_immich_is_paused_and_drained_before_it_loses_the_card(
    card: Card, run: Run, immich: FakeImmich
) -> None:
    immich.active["faceDetection"] = 3
    immich.active["sidecar"] = 5  # Needs no card, and never ends.
    immich.paused["ocr"] = True
    code, output = replace(run, immich_url=immich.url).finish()
    assert code == 0, output
    assert immich.calls == [
        "pause smartSearch",
        "pause faceDetection",
        "resume smartSearch",
        "resume faceDetection",
    ]
    assert "waiting for Immich's running jobs: 2 of faceDetection" in output
    assert immich.active["faceDetection"] == 0
    assert immich.paused["ocr"]
    card.until(card.as_at_start)


def test_tenant_with_endless_jobs_keeps_the_card(card: Card, run: Run, immich: FakeImmich) -> None:
    (before,) = card.pods(ML)
    immich.active["ocr"] = 10**9
    code, output = replace(run, immich_url=immich.url, wait_s=1).finish()
    assert code == 1
    assert "not open after 1 s: waiting for Immich's running jobs: 9999" in output
    (after,) = card.pods(ML)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert not any(immich.paused.values())
    card.until(card.as_at_start)


def test_missing_immich_key_is_warned_about_once(card: Card, run: Run) -> None:
    code, output = replace(run, immich_url="http://127.0.0.1:9", key=None).finish()
    assert code == 0, output
    assert output.count("IMMICH_API_KEY is not set") == 1
    assert "smartSearch, faceDetection, ocr) will fail" in output


# ---- However it ends -------------------------------------------------------------------------


def test_command_is_ended_at_the_deadline(card: Card, run: Run, tmp_path: Path) -> None:
    child, time_is_up = tmp_path / "child", tmp_path / "time-is-up"
    command = ("sh", "-c", f"sleep 60 & echo $! > {child}; wait")
    process = replace(run, command=command, time_is_up=time_is_up).start()
    card.until(lambda: child.exists() and child.read_text().endswith("\n"))
    time_is_up.touch()
    process.join(60)
    assert process.exitcode == 124, run.output()
    assert "the time is up: SIGTERM to sh" in run.output()
    number = int(child.read_text())
    assert not psutil.pid_exists(number) or (
        psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    )
    card.until(card.as_at_start)


def test_exit_code_of_a_command_ended_by_a_signal(card: Card, run: Run) -> None:
    code, output = replace(run, command=("sh", "-c", "kill -INT $$")).finish()
    assert code == 128 + signal.SIGINT, output
    card.until(card.as_at_start)


def test_a_window_without_a_command_is_held_until_its_end(card: Card, run: Run) -> None:
    # Of one second nothing may be left once the window is open.
    code, output = replace(run, command=(), for_s=4).finish()
    assert code == 0, output
    assert f"{window_process.URL} until " in output
    assert "the time is up" in output
    card.until(card.as_at_start)


def test_second_ctrl_c_does_not_stop_the_restore(card: Card, run: Run) -> None:
    window = replace(run, command=()).start()
    card.until(lambda: "Ctrl-C ends the window" in run.output())
    assert window.pid is not None
    os.kill(window.pid, signal.SIGINT)
    card.until(lambda: "restoring immich/" in run.output())
    os.kill(window.pid, signal.SIGINT)
    os.kill(window.pid, signal.SIGTERM)
    window.join(30)
    assert window.exitcode == 0, run.output()
    assert "still restoring the GPU's other users" in run.output()
    card.until(card.as_at_start)


@pytest.mark.parametrize(("replicas", "ready"), [(0, 0), (2, 1)])
def test_tenant_with_no_or_pending_pods_is_restored(
    card: Card, run: Run, replicas: int, ready: int
) -> None:
    card.scale(SWAP, 0)
    card.scale(ML, replicas)
    card.until(lambda: len(card.pods(ML)) == replicas and card.ready(ML) == ready)
    card.until(
        lambda: (
            card.deployment(ML)["status"].get("readyReplicas", 0) == ready and not card.pods(SWAP)
        )
    )
    card.scale(SWAP, 1)
    code, output = run.finish()
    assert code == 0, output
    assert card.lease() is None
    assert (card.replicas(ML), card.replicas(SWAP)) == (replicas, 1)
    assert card.ready(ML) == ready


def test_pod_that_does_not_terminate_ends_the_opening(
    cluster: EmbeddedCluster, card: Card, run: Run
) -> None:
    (pod,) = card.pods(ML)
    kubelet = psutil.Process(Processes(cluster.state_dir).pid("kwok"))
    kubelet.suspend()
    try:
        window = replace(run, wait_s=1).start()
        card.until(lambda: "restoring immich/" in run.output())
    finally:
        kubelet.resume()
    window.join(30)
    assert window.exitcode == 1
    output = run.output()
    assert f"pod immich/{pod['metadata']['name']} (Terminating since " in output
    assert "on k8s-node1" in output
    assert "not open after 1 s: waiting for pod immich/" in output
    card.until(card.as_at_start)


def test_an_endpoint_that_cannot_start_ends_the_opening(card: Card, run: Run) -> None:
    """The tenant has given the card away and would wait for the whole --wait."""
    elsewhere = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "none"}}}}}
    card.patch(SWAP, elsewhere)
    try:
        code, output = run.finish()
    finally:
        card.patch(SWAP, {"spec": {"template": {"spec": {"nodeSelector": {"disk": None}}}}})
    assert code == 1
    assert "error: the window is not open: pod llama-swap-" in output
    assert "node affinity/selector) does not start. Compare gpu and resources in" in output
    assert "everything is restored" in output
    card.until(card.as_at_start)


def test_holder_of_the_card_is_named(card: Card, run: Run) -> None:
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": "default"},
        "spec": {
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {"name": "a", "image": "a", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
            ],
        },
    }
    card.scale(SWAP, 0)
    card.scale(ML, 0)
    card.until(lambda: not card.pods(ML) and not card.pods(SWAP))
    status, answer = card.api.request("POST", "/api/v1/namespaces/default/pods", pod)
    assert status == 201, answer
    path = "/api/v1/namespaces/default/pods/stranger"
    card.until(lambda: (card.api.get(path) or pod)["spec"].get("nodeName"))
    try:
        code, output = replace(run, wait_s=3).finish()
    finally:
        card.api.request("DELETE", path)
        card.until(lambda: card.api.get(path) is None)
    assert code == 1
    assert "Insufficient nvidia.com/gpu" in output
    assert "the card is held by default/stranger" in output
    assert card.replicas(ML) == 0


# ---- What is refused -------------------------------------------------------------------------


def test_missing_deployment_changes_nothing(card: Card, run: Run) -> None:
    code, output = replace(run, deployment="immich-ml").finish()
    assert code == 1
    assert "error: sharing.tenants names Deployment immich/immich-ml, which does not" in output
    assert "writes: 0" in output
    assert card.as_at_start()


def test_unreachable_immich_opens_no_window(card: Card, run: Run) -> None:
    timing = replace(FAST, immich_patience_s=0.2)
    code, output = replace(run, immich_url="http://127.0.0.1:9", timing=timing).finish()
    assert code == 1
    assert "error: Immich at http://127.0.0.1:9 does not answer" in output
    assert card.as_at_start()


def test_second_window_is_refused_while_the_first_is_alive(card: Card, run: Run) -> None:
    first = replace(run, command=WHILE_OPEN).start()
    card.until(lambda: "running sh" in run.output())
    code, output = replace(run, log=run.log.with_name("second")).finish()
    assert code == 1
    assert "has held the window since" in output
    assert "python -m ops window --restore" in output
    assert "writes: 0" in output
    assert card.ready(SWAP) == 1
    assert run.end(first) == 128 + signal.SIGTERM, run.output()
    card.until(card.as_at_start)


def test_restore_leaves_a_live_window_alone(card: Card, run: Run) -> None:
    timing = replace(FAST, renew_s=0.2)
    first = replace(run, command=WHILE_OPEN, timing=timing).start()
    card.until(lambda: "running sh" in run.output())
    code, output = replace(run, mode="restore", log=run.log.with_name("second")).finish()
    assert code == 1
    assert "is alive. End its window there with Ctrl-C" in output
    code, output = replace(run, mode="cronjob", log=run.log.with_name("third")).finish()
    assert code == 0
    assert "is open: " in output
    assert card.ready(SWAP) == 1
    assert run.end(first) == 128 + signal.SIGTERM, run.output()
    card.until(card.as_at_start)


def test_second_window_waits_while_the_first_is_restored(card: Card, run: Run) -> None:
    first = replace(run, command=WHILE_OPEN).start()
    card.until(lambda: "running sh" in run.output())
    card.cordon()
    second = replace(run, log=run.log.with_name("second"))
    try:
        first.terminate()
        card.until(lambda: "waiting for pod immich/" in run.output())
        waiting = second.start()
        card.until(lambda: "has restored what its window took" in second.output())
        assert waiting.is_alive()
    finally:
        card.cordon(False)
    waiting.join(60)
    assert waiting.exitcode == 0, second.output()
    assert run.end(first) == 128 + signal.SIGTERM, run.output()
    card.until(card.as_at_start)
