"""What a window left that did not end by itself: who restores it, who does not, and how."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest

from in_pod.gpu_window.__main__ import main
from in_pod.gpu_window.contract import ANNOTATION, NO_ACCESS
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.machine.processes import Processes
from ops.terraform.manifests import manifests
from tests.fakes.immich_queues import KEY, FakeImmich
from tests.real.window.mounted_account import mounted_account, objects_of, pod_environment
from tests.real.window.shared_card import LEASE_PATH, SWAP, Card
from tests.real.window.window_process import FAST, ML, NAMESPACE, WHILE_OPEN, Mode, Run

DEPLOYMENTS = tuple(
    f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}" for namespace, name in (SWAP, ML)
)


# ---- What a dead one left --------------------------------------------------------------------


def kill_open(card: Card, run: Run) -> None:
    window = replace(run, command=WHILE_OPEN).start()
    card.until(lambda: "running sh" in run.output())
    window.kill()
    window.join()


def test_next_window_first_restores_a_killed_one(card: Card, run: Run) -> None:
    kill_open(card, run)
    card.age()
    code, output = run.finish()
    assert code == 0, output
    assert "restoring what the window of" in output
    assert output.count("restoring immich/") == 2
    card.until(card.as_at_start)


def test_restore_waits_for_a_scale_down_in_progress(
    cluster: EmbeddedCluster, card: Card, run: Run
) -> None:
    """Else the pod that is about to go would count as the one that is ready."""
    number, is_scaled_down = 0, False
    while not is_scaled_down:
        number += 1
        assert replace(run, kill_at=number, kill_after=True).finish()[0] == -9
        is_scaled_down = card.replicas(ML) == 0
        card.age()
        assert replace(run, mode="restore").finish()[0] == 0
        card.until(card.as_at_start)
    (before,) = card.pods(ML)
    assert replace(run, kill_at=number).finish()[0] == -9
    card.age()
    controllers = psutil.Process(Processes(cluster.state_dir).pid("kube-controller-manager"))
    restoring = None
    controllers.suspend()
    try:
        card.scale(ML, 0)
        restoring = replace(run, mode="restore").start()
        card.until(lambda: "to terminate" in run.output())
        assert (card.replicas(ML), card.ready(ML)) == (0, 1)
    finally:
        controllers.resume()
        if restoring is not None:
            restoring.join(30)
    assert restoring.exitcode == 0, run.output()
    assert card.ready(ML) == 1
    assert before["metadata"]["name"] not in {pod["metadata"]["name"] for pod in card.pods(ML)}
    card.until(card.as_at_start)


def test_cron_job_restores_only_past_the_deadline(card: Card, run: Run) -> None:
    kill_open(card, run)
    card.age()
    code, output = replace(run, mode="cronjob").finish()
    assert (code, "is open: " in output) == (0, True)
    assert card.ready(SWAP) == 1
    card.age(past_deadline=True)
    code, output = replace(run, mode="cronjob").finish()
    assert code == 0, output
    card.until(card.as_at_start)


def test_holder_that_lost_the_window_changes_nothing(card: Card, run: Run) -> None:
    timing = replace(FAST, renew_s=0.2)
    window = replace(run, command=WHILE_OPEN, timing=timing).start()
    card.until(lambda: "running sh" in run.output())
    assert window.pid is not None
    os.kill(window.pid, signal.SIGSTOP)  # A laptop that is closed.
    card.age(past_deadline=True)
    code, output = replace(run, mode="cronjob", log=run.log.with_name("second")).finish()
    assert code == 0, output
    os.kill(window.pid, signal.SIGCONT)
    window.join(30)
    assert window.exitcode == 1
    assert "the Lease gpu-window does not exist: another process" in run.output()
    card.until(card.as_at_start)


def test_queues_that_cannot_be_resumed_stay_in_the_record(
    card: Card, run: Run, immich: FakeImmich
) -> None:
    with_immich = replace(run, immich_url=immich.url)
    kill_open(card, with_immich)
    card.age()
    code, output = replace(with_immich, mode="restore", key=None).finish()
    assert code == 1
    assert "stay paused: IMMICH_API_KEY is not set" in output
    assert (card.replicas(ML), card.replicas(SWAP), card.ready(ML)) == (1, 1, 1)
    assert card.record().queues == ("smartSearch", "faceDetection", "ocr")
    immich.refusal = 403
    code, output = replace(with_immich, mode="cronjob").finish()
    assert "expected an administrator's key with queue.read and queue.update" in output
    assert KEY not in output
    immich.refusal = None
    code, output = replace(with_immich, mode="cronjob").finish()
    assert code == 0, output
    assert "restoring immich/" not in output
    assert not any(immich.paused.values())
    card.until(card.as_at_start)


def test_tenant_that_is_not_ready_keeps_its_replicas_and_paused_queues(
    card: Card, run: Run, immich: FakeImmich
) -> None:
    with_immich = replace(run, immich_url=immich.url)
    kill_open(card, with_immich)
    card.age()
    quota: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": ML[0]},
        "spec": {"hard": {"pods": "0"}},
    }
    quotas = f"/api/v1/namespaces/{ML[0]}/resourcequotas"
    status, answer = card.api.request("POST", quotas, quota)
    assert status == 201, answer
    card.until(lambda: (card.api.get(f"{quotas}/none") or {}).get("status", {}).get("hard"))
    timing = replace(FAST, ready_s=3)
    try:
        code, output = replace(with_immich, mode="restore", timing=timing).finish()
    finally:
        card.api.request("DELETE", f"{quotas}/none")
    assert code == 1
    assert "the replicas are restored but not ready" in output
    assert "exceeded quota" in output
    assert (card.replicas(ML), card.replicas(SWAP)) == (1, 1)
    assert immich.paused["ocr"]
    assert card.record().given_back
    card.give_back()
    code, output = replace(with_immich, mode="restore").finish()
    assert code == 0, output
    assert not immich.paused["ocr"]
    card.until(card.as_at_start)


def test_damaged_record_is_reported_and_changes_nothing(card: Card, run: Run) -> None:
    kill_open(card, run)
    card.age()
    broken = {"metadata": {"annotations": {ANNOTATION: '{"tenants": 3}'}}}
    card.api.request("PATCH", LEASE_PATH, broken)
    for mode in get_args(Mode):
        code, output = replace(run, mode=mode).finish()
        assert code == 1
        assert "error: the record of the Lease gpu-window is damaged" in output
        assert "writes: 0" in output
    assert card.ready(SWAP) == 1


def test_forged_record_scales_nothing_of_others(card: Card, run: Run) -> None:
    """Built-in `edit` may write Leases, so a record may name any workload."""
    other = f"/apis/apps/v1/namespaces/{ML[0]}/deployments/other"
    selector = {"matchLabels": {"app": "other"}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "other"},
        "spec": {
            "replicas": 1,
            "selector": selector,
            "template": {
                "metadata": {"labels": selector["matchLabels"]},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    }
    status, answer = card.api.request("POST", other.rpartition("/")[0], body)
    assert status == 201, answer
    kill_open(card, run)
    card.age(past_deadline=True)
    forged = replace(card.record().tenants[0], name="other", replicas=0)
    record = replace(card.record(), tenants=(forged, *card.record().tenants))
    change = {"metadata": {"annotations": {ANNOTATION: record.to_json()}}}
    card.api.request("PATCH", LEASE_PATH, change)
    try:
        for mode in ("restore", "cronjob", "window"):
            code, output = replace(run, mode=mode).finish()
            assert code == 1
            assert "names Deployment immich/other, which sharing.tenants in" in output
            assert (card.api.get(other) or {})["spec"]["replicas"] == 1
            # What the settings name is restored all the same.
            card.until(lambda: card.ready(ML) == 1 and card.replicas(ML) == 1)
    finally:
        card.api.request("DELETE", other)


# ---- As the cluster runs it ------------------------------------------------------------------


@pytest.fixture
def service_account(
    cluster: EmbeddedCluster,
    card: Card,
    kube: Cluster,
    synth: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> Path:
    """The account that the stack gives its CronJob, as the kubelet shows it to the pod."""
    kube.apply(objects_of(manifests(synth()), "gpu-window-restore"))
    return mounted_account(card, cluster, "gpu-window-restore", tmp_path, reads=DEPLOYMENTS)


@pytest.fixture
def in_pod(cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, signals: None) -> None:
    for name, value in pod_environment(cluster).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("in_pod")
def test_program_restores_with_the_restricted_account(
    card: Card,
    run: Run,
    immich: FakeImmich,
    service_account: Path,
    synth: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("IMMICH_URL", immich.url)
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    (cron_job,) = (
        each
        for each in manifests(synth())
        if (each["kind"], each["metadata"]["name"]) == ("CronJob", "gpu-window-restore")
    )
    pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    arguments = [*pod["containers"][0]["args"], "--service-account-dir", str(service_account)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
    kill_open(card, replace(run, immich_url=immich.url))
    assert main(arguments) == 0
    assert "is open: " in capsys.readouterr().out
    card.age(past_deadline=True)
    assert main(arguments, timing=FAST) == 0, capsys.readouterr().out
    assert not any(immich.paused.values())
    card.until(card.as_at_start)


@pytest.mark.usefixtures("in_pod")
def test_an_account_without_rights_ends_with_no_access(
    card: Card, service_account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (service_account / "token").write_text("nobody's")
    arguments = ["--namespace", NAMESPACE, "--service-account-dir", str(service_account)]
    assert main(arguments) == NO_ACCESS
    assert "error: the API server refuses GET" in capsys.readouterr().out
