"""Drift where Terraform deployed: its plan and the cluster agree, and show nothing when clean."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from ops.cluster import environment
from ops.cluster.api import KubeApi
from ops.commands.drift.declared import Declared, declare
from ops.commands.drift.run import Ask, drift
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.run import Terraform
from stacks.production import PRODUCTION
from tests.real.deploy import running_provider
from tests.real.deploy.applied import apply
from tests.real.drift.asked import ask, lines, patch

pytestmark = pytest.mark.usefixtures("running_provider")

NAMESPACE = "llama-cpp"
CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/llama-swap"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llama-swap"
BATCH = f"/apis/batch/v1/namespaces/{NAMESPACE}"
SERVICE = f"/api/v1/namespaces/{NAMESPACE}/services/llama-swap"
COMMIT = r"\((commit [0-9a-f]+, [^)]+|not committed)\)"


@pytest.fixture(scope="module")
def declared(
    cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Declared]:
    """The working tree, deployed by Terraform."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        patch.setenv("CDKTF_OUTDIR", str(tmp_path_factory.mktemp("app") / "cdktf.out"))
        tree = declare(PRODUCTION)
        terraform = Terraform(tree.directory)
        terraform.init()
        terraform.push_empty_state()
        apply(terraform)
        yield tree


def test_an_object_at_an_older_address_is_no_drift(declared: Declared) -> None:
    """As after a renamed construct: a deploy moves the entry and changes no object."""
    terraform = Terraform(declared.directory)
    address = next(
        line
        for line in terraform.checked("state", "list").split()
        if line.startswith("kubernetes_service_v1.")
    )
    older = "kubernetes_service_v1.older_0123ABCD"
    terraform.move({address: older})
    try:
        assert lines(ask(declared, "terraform")) == []
    finally:
        terraform.move({older: address})


def test_a_deploy_leaves_no_drift_in_terraform_and_cluster(declared: Declared) -> None:
    assert lines(ask(declared)) == []


def test_a_changed_label_is_drift(declared: Declared, api: KubeApi) -> None:
    label = "app.kubernetes.io/managed-by"
    patch(api, SERVICE, {"metadata": {"labels": {label: "ann"}}})
    try:
        (line,) = lines(ask(declared))
        (of_terraform,) = lines(ask(declared, "terraform", pool=declared.settings.pool))
    finally:
        patch(api, SERVICE, {"metadata": {"labels": {label: "terraform"}}})
    assert re.fullmatch(
        rf"Service llama-swap: metadata\.labels\[{label}\] is ann in the cluster \(kubectl-edit, "
        rf"[^)]+\), ann in Terraform's refreshed state, terraform declared {COMMIT}: (the cluster "
        r"is newer; )?python -m ops deploy restores terraform, or declare ann in stacks/",
        line,
    ), line
    assert "is ann in Terraform's refreshed state, terraform declared" in of_terraform


def test_a_context_and_an_image_are_one_line_each(declared: Declared, api: KubeApi) -> None:
    config = yaml.safe_load(declared.program.config)
    cmd = config["models"]["qwen3vl-4b"]["cmd"]
    config["models"]["qwen3vl-4b"]["cmd"] = cmd.replace("--ctx-size 3072", "--ctx-size 4096")
    patch(api, CONFIG_MAP, {"data": {"llama-swap.yaml": yaml.safe_dump(config, sort_keys=False)}})
    deployment: dict[str, Any] = api.get(DEPLOYMENT) or {}
    containers = deployment["spec"]["template"]["spec"]["containers"]
    right = containers[0]["image"]
    containers[0]["image"] = f"{right.partition('@')[0]}@sha256:{'ab' * 32}"
    patch(api, DEPLOYMENT, {"spec": {"template": {"spec": {"containers": containers}}}})
    try:
        shown = lines(ask(declared))
    finally:
        patch(api, CONFIG_MAP, {"data": {"llama-swap.yaml": declared.program.config}})
        containers[0]["image"] = right
        patch(api, DEPLOYMENT, {"spec": {"template": {"spec": {"containers": containers}}}})
    context, image = (line for line in shown if not line.startswith("Pod "))
    assert "--ctx-size is 4096 in the ConfigMap (kubectl-edit, " in context
    assert ", 4096 in Terraform's refreshed state, 3072 declared (" in context
    assert ".containers[llama-swap].image is " in image
    assert re.search(r"@sha256:abababababab in Terraform's refreshed state, \S+ declared", image)


def test_replicas_are_not_drift(declared: Declared, api: KubeApi) -> None:
    patch(api, DEPLOYMENT, {"spec": {"replicas": 0}})
    try:
        result = ask(declared)
    finally:
        patch(api, DEPLOYMENT, {"spec": {"replicas": 1}})
    assert lines(result) == []
    (note,) = (note for note in result.notes if "spec.replicas" in note)
    assert re.fullmatch(
        r"cluster: Deployment llama-swap: spec\.replicas is 0 in the cluster \(kubectl-edit, "
        r"[^)]+\), 1 declared, and ignored: a GPU window or a tenant's operator scales it",
        note,
    )


def test_what_is_paused_or_suspended_is_drift(declared: Declared, api: KubeApi) -> None:
    (job,) = (made for made in declared.objects if made["kind"] == "Job")
    name = job["metadata"]["name"]
    stops = {
        DEPLOYMENT: "paused",
        f"{BATCH}/cronjobs/gpu-window-restore": "suspend",
        f"{BATCH}/jobs/{name}": "suspend",
    }
    done = (api.get(f"{BATCH}/jobs/{name}") or {})["status"].get("succeeded")
    if done:  # A finished Job is not suspended any more.
        del stops[f"{BATCH}/jobs/{name}"]
    for path, field in stops.items():
        patch(api, path, {"spec": {field: True}})
    try:
        shown = lines(ask(declared))
    finally:
        for path, field in stops.items():
            patch(api, path, {"spec": {field: None if field == "paused" else False}})
    deployment, cron_job, *jobs = sorted(shown, key=lambda line: line.split()[0] != "Deployment")
    assert re.fullmatch(
        rf"Deployment llama-swap: spec\.paused is true in the cluster \(kubectl-edit, [^)]+\), "
        rf"false declared {COMMIT}: (the cluster is newer; )?it is paused, so its pod does not "
        r"change: kubectl .+ -n llama-cpp rollout resume deployment/llama-swap; python -m ops "
        r"deploy resumes it only with another change",
        deployment,
    ), deployment
    assert re.fullmatch(
        r"CronJob gpu-window-restore: spec\.suspend is true in the cluster \(kubectl-edit, "
        rf"[^)]+\), true in Terraform's refreshed state, false declared {COMMIT}: (the cluster is "
        r"newer; )?it is suspended and starts no Job: kubectl .+ -n llama-cpp patch cronjob "
        r"gpu-window-restore -p '\{\"spec\":\{\"suspend\":false\}\}', or python -m ops deploy, "
        r"which resumes it",
        cron_job,
    ), cron_job
    assert len(jobs) == len(stops) - 2
    for line in jobs:
        assert "spec.suspend is true in the cluster (kubectl-edit, " in line
        assert f"patch job {name} -p " in line


def test_an_object_that_the_state_lacks_is_imported(declared: Declared, api: KubeApi) -> None:
    terraform = Terraform(Path(declared.directory))
    (address,) = (
        line
        for line in terraform.checked("state", "list").splitlines()
        if line.startswith("kubernetes_service_v1.llama-swap_")
    )
    terraform.checked("state", "rm", address)
    try:
        (line,) = lines(ask(declared))
    finally:
        terraform.checked("import", "-input=false", address, "llama-cpp/llama-swap")
    assert re.fullmatch(
        rf"Service llama-swap: is absent in Terraform's refreshed state, declared {COMMIT}: it "
        r"exists in the cluster, and python -m ops deploy imports it",
        line,
    ), line


def test_a_missing_object_is_drift(declared: Declared, api: KubeApi) -> None:
    assert api.request("DELETE", SERVICE)[0] == 200
    (line,) = lines(ask(declared))
    assert re.fullmatch(
        rf"Service llama-swap: is absent in the cluster, absent in Terraform's refreshed state, "
        rf"declared {COMMIT}: python -m ops deploy creates it again",
        line,
    ), line
    apply(Terraform(Path(declared.directory)))


def test_terraform_that_takes_too_long_is_named_and_ended(
    declared: Declared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # With a provider of its own, which has to be ended too.
    monkeypatch.delenv(running_provider.VARIABLE)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = yaml.safe_load(Path(os.environ["KUBE_CONFIG_PATH"]).read_text())
        at = f"https://127.0.0.1:{silent.getsockname()[1]}"
        config["clusters"][0]["cluster"]["server"] = at
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBE_CONFIG_PATH", str(tmp_path / "config"))
        monkeypatch.setattr(environment, "check_cluster", lambda: None)
        result = drift(declared, Ask(sources=("terraform",), timeout_s=8), say=lambda line: None)
        reasons = [state.reason for state in result.unreachable]
        deadline = time.monotonic() + 10
        while left := _started_in(declared.directory):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
    (reason,) = reasons
    assert re.fullmatch(r"terraform plan did not end within \S+ s|no answer within 8 s", reason), (
        reason
    )


def _started_in(directory: Path) -> list[psutil.Process]:
    """Terraform and its provider, which work there."""
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()) == directory.resolve():
                processes.append(process)
    return processes
