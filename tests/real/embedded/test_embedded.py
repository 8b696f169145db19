"""The embedded cluster: reuse, a clean stop, and no half-started cluster."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from in_pod.kubernetes.pod_state import pod_state
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.cluster.pod_resources import Taint
from llama_swap_config.cluster.sharing import ByWindow
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.embedded import cluster as embedded
from ops.embedded import control_plane, postgres
from ops.embedded.admin_api import AdminApi
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.machine.processes import Processes
from ops.machine.state_dir import locked
from tests.conftest import ROOT
from tests.declaration.settings import SETTINGS
from tests.real.serve.left_running import listening_in, running_in


@pytest.fixture
def state_dir(open_directory: Path, tmp_path: Path) -> Path:
    """A directory of a cluster's own, whose data PostgreSQL's user reaches where it is."""
    return open_directory / tmp_path.name


def records(cluster: EmbeddedCluster) -> dict[str, str]:
    folder = cluster.state_dir / "processes"
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_second_up_finds_the_first(cluster: EmbeddedCluster) -> None:
    before = records(cluster)
    assert len(before) == 5
    lines: list[str] = []
    assert embedded.up(cluster.state_dir, settings=SETTINGS, say=lines.append) == cluster
    assert records(cluster) == before
    assert lines == [
        f"the embedded cluster already runs in {cluster.state_dir}",
        "node k8s-node1 has one Tesla-T4",
    ]


def test_postgresql_answers_without_a_password_in_its_address(cluster: EmbeddedCluster) -> None:
    with psycopg.connect(cluster.pg_conn_str) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_cluster_listens_only_on_this_machine(cluster: EmbeddedCluster) -> None:
    """PostgreSQL has a unix socket; kwok forwards to pods without asking who connects."""
    assert listening_in(cluster.state_dir) == {
        "server": {"127.0.0.1"},  # etcd
        "kube-apiserver": {"127.0.0.1"},
        "kwok": {"127.0.0.1"},
    }


def test_only_the_owner_can_read_keys_and_tokens(cluster: EmbeddedCluster) -> None:
    for name in ("kubeconfig", "tokens.csv", "service-account.key"):
        assert (cluster.state_dir / name).stat().st_mode & 0o077 == 0


def api_of(cluster: EmbeddedCluster) -> KubeApi:
    return KubeApi(KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context))


def test_api_server_reports_its_version(cluster: EmbeddedCluster) -> None:
    with api_of(cluster) as api:
        version = (api.get("/version") or {})["gitVersion"]
    assert f"k8s.io/kubernetes {version}" in (ROOT / "tools" / "go.mod").read_text()


def test_node_renews_its_lease(cluster: EmbeddedCluster) -> None:
    with api_of(cluster) as api:
        lease = api.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/k8s-node1")
    assert lease is not None
    # kwok renews it four times as often; the node counts as lost 50 s after the last renewal.
    assert lease["spec"]["leaseDurationSeconds"] == 40


def test_gpu_tenant_exists_and_keeps_its_scale_at_the_next_start(
    cluster: EmbeddedCluster,
) -> None:
    deployment = "/apis/apps/v1/namespaces/immich/deployments/immich-machine-learning"
    with api_of(cluster) as api:
        tenant = api.get(deployment) or {}
        assert tenant["spec"]["replicas"] == 0
        try:
            api.request("PATCH", f"{deployment}/scale", {"spec": {"replicas": 2}})
            deadline = time.monotonic() + 20
            while "Insufficient nvidia.com/gpu" not in "".join(reasons(api)):
                assert time.monotonic() < deadline, reasons(api)
                time.sleep(0.2)
            assert [bool(reason) for reason in reasons(api)] == [False, True]

            embedded.declare(cluster, SETTINGS)  # As the next start does.
            assert (api.get(deployment) or {})["spec"]["replicas"] == 2
        finally:
            api.request("PATCH", f"{deployment}/scale", {"spec": {"replicas": 0}})


def test_objects_follow_the_settings_and_leave_those_of_others(cluster: EmbeddedCluster) -> None:
    """What an earlier start made goes with the setting; what an operator made stays as it is."""
    stateful = GpuTenant(namespace="media", kind="StatefulSet", name="ml")
    theirs = GpuTenant(namespace="media", name="own")
    gpu = replace(
        SETTINGS.gpu,
        node_selector={"kubernetes.io/hostname": "gpu-box", "gpu": "t4"},
        taints=(Taint(key="gpu", effect="PreferNoSchedule"),),
        resource="nvidia.com/gpu.shared",
    )
    labels = {"app": "own"}
    own = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "own"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "own", "image": "own"}]},
            },
        },
    }
    apps = "/apis/apps/v1/namespaces"
    with api_of(cluster) as api:
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "media"}})
        assert api.request("POST", f"{apps}/media/deployments", own)[0] == 201
        try:
            embedded.declare(
                cluster, replace(SETTINGS, gpu=gpu, sharing=ByWindow(tenants=(stateful, theirs)))
            )
            (node,) = (api.get("/api/v1/nodes") or {})["items"]
            assert node["metadata"]["name"] == "gpu-box"
            assert node["spec"]["taints"] == [{"key": "gpu", "effect": "PreferNoSchedule"}]
            assert node["status"]["allocatable"]["nvidia.com/gpu.shared"] == "1"
            assert api.get(f"{apps}/immich/deployments/immich-machine-learning") is None
            made = api.get(f"{apps}/media/statefulsets/ml") or {}
            container = made["spec"]["template"]["spec"]["containers"][0]
            assert container["resources"]["limits"] == {"nvidia.com/gpu.shared": "1"}
            assert (api.get(f"{apps}/media/deployments/own") or {})["spec"]["replicas"] == 1

            embedded.declare(cluster, replace(SETTINGS, gpu=replace(gpu, resource="a.org/gpu")))
            (node,) = (api.get("/api/v1/nodes") or {})["items"]
            assert {"a.org/gpu"} == {key for key in node["status"]["capacity"] if "gpu" in key}
            assert api.get(f"{apps}/media/statefulsets/ml") is None
            assert api.get(f"{apps}/media/deployments/own") is not None
        finally:
            embedded.declare(cluster, SETTINGS)
            api.request("DELETE", "/api/v1/namespaces/media")


def test_an_object_that_the_api_server_refuses_is_one_line(cluster: EmbeddedCluster) -> None:
    path = "/api/v1/namespaces/a"
    with pytest.raises(OpsError, match=rf"the embedded cluster refuses {path} \(.+\). Correct st"):
        AdminApi.of(cluster.kubeconfig).apply(path, {"apiVersion": "v1", "kind": "Pod"})


def reasons(api: KubeApi) -> list[str]:
    """Return the reason of each of the tenant's pods; empty for a running pod."""
    pods = (api.get("/api/v1/namespaces/immich/pods") or {})["items"]
    return sorted(pod_state(pod).reason for pod in pods)


def test_down_stops_only_its_own_processes(state_dir: Path) -> None:
    embedded.up(state_dir, settings=SETTINGS, say=print)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        # A record whose process has gone, and whose number a stranger has by now.
        processes = Processes(state_dir)
        processes.stop("kwok")
        forged = {"pid": stranger.pid, "create_time": 1.0}
        (state_dir / "processes" / "kwok.json").write_text(json.dumps(forged))
        assert embedded.find(state_dir) is None

        assert embedded.down(state_dir, say=print) is True

        assert stranger.poll() is None
        assert running_in(state_dir) == []
        assert embedded.down(state_dir, say=print) is False
    finally:
        stranger.kill()
        stranger.wait()


def test_failed_start_leaves_nothing_running(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = control_plane.binaries(print)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in control_plane.PROGRAMS:
        (programs / name).symlink_to(real / name)
    (programs / "kube-scheduler").unlink()
    (programs / "kube-scheduler").write_text("#!/bin/sh\necho no licence for this\nexit 3\n")
    (programs / "kube-scheduler").chmod(0o755)
    monkeypatch.setattr(control_plane, "binaries", lambda say: programs)

    with pytest.raises(
        OpsError, match=r"kube-scheduler ended at start-up \(no licence for this\)"
    ):
        embedded.up(state_dir, settings=SETTINGS, say=print)

    assert running_in(state_dir) == []
    assert not postgres.is_running(state_dir / "postgresql")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_interrupted_up_leaves_nothing_running(state_dir: Path, number: signal.Signals) -> None:
    program = (
        "import sys; from pathlib import Path; from ops.embedded import cluster as embedded;"
        "from stacks.production import PRODUCTION;"
        "embedded.up(Path(sys.argv[1]), settings=PRODUCTION,"
        " say=lambda line: print(line, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(state_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "PostgreSQL is ready" in process.stdout.readline()
    deadline = time.monotonic() + 10
    while not (state_dir / "processes" / "etcd.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    process.stdout.close()
    process.wait(timeout=60)
    if number == signal.SIGKILL:
        # Nobody can clean up after itself here: the next command does.
        embedded.down(state_dir, say=print)
    assert running_in(state_dir) == []
    assert not postgres.is_running(state_dir / "postgresql")


def test_taken_port_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv(embedded.PORT_VARIABLE, str(port))
        with pytest.raises(
            OpsError, match=rf"port {port} on 127\.0\.0\.1 is not available .*unset it"
        ):
            embedded.up(tmp_path, settings=SETTINGS, say=print)
    assert running_in(tmp_path) == []


def test_invalid_port_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(embedded.PORT_VARIABLE, "http")
    with pytest.raises(OpsError, match=r"EMBEDDED_API_SERVER_PORT is 'http'; expected 1 to 65535"):
        embedded.up(tmp_path, settings=SETTINGS, say=print)


def test_state_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OpsError, match=r"state directory .*file/state cannot be used \(Not a dir"):
        embedded.up(tmp_path / "file" / "state", settings=SETTINGS, say=print)


def test_read_only_state_directory_is_refused() -> None:
    with pytest.raises(OpsError, match=r"the state directory /proc/state cannot be used"):
        embedded.up(Path("/proc/state"), settings=SETTINGS, say=print)


def test_full_disk_is_refused(tmp_path: Path) -> None:
    """On a file system of 64 KiB, if this machine lets the test mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        with pytest.raises(OpsError, match=r"has 0 MiB free; expected at least 512 MiB"):
            embedded.up(tmp_path, settings=SETTINGS, say=print)
        assert running_in(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_second_command_on_a_state_directory_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(OpsError, match=r"another command uses"):
        embedded.up(tmp_path, settings=SETTINGS, say=print)
