"""The embedded cluster: PostgreSQL and a real Kubernetes control plane on 127.0.0.1.

kwok simulates the node: pods are scheduled and become ready, but no container runs.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from in_pod.exporter.contract import PORT as EXPORTER_PORT
from ops.embedded import control_plane, credentials, gpu_node, objects, postgres
from ops.embedded.admin_api import AdminApi
from ops.errors import OpsError
from ops.machine.ports import free_ports, refusal
from ops.machine.private_file import write_private
from ops.machine.processes import Processes
from ops.machine.signals import ended_by_signals
from ops.machine.state_dir import locked
from ops.report.terminal import Say
from stacks.settings import Settings

DEFINITIONS = Path(__file__).parent / "definitions"
PORT_VARIABLE = "EMBEDDED_API_SERVER_PORT"
# The processes in the order of their start; `down` stops them in reverse.
_ORDER = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
)
_READY_TIMEOUT_S = 90
# A new PostgreSQL needs 39 MiB and etcd 124 MiB (measured); the rest is for logs and growth.
_NEEDED_MIB = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedCluster:
    """A running embedded cluster and its addresses."""

    state_dir: Path
    kubeconfig: Path
    kube_context: str
    pg_conn_str: str
    endpoint_port: int
    """The local port where each `kubectl port-forward` to a pod ends; the front end's port."""
    exporter_port: int
    """The local port where one to the exporter's port ends; the next one is Prometheus's."""
    kubelet_port: int
    """The local port where kwok answers in place of the node's kubelet."""

    def environment(self) -> dict[str, str]:
        """Return the environment variables that direct every command to this cluster."""
        return {
            "PG_CONN_STR": self.pg_conn_str,
            "KUBE_CONFIG_PATH": str(self.kubeconfig),
            "KUBE_CTX": self.kube_context,
            "KUBECONFIG": str(self.kubeconfig),
        }


def find(state_dir: Path) -> EmbeddedCluster | None:
    """Return the cluster of this directory if all of it runs, else None."""
    state_dir = state_dir.resolve()
    try:
        stored = json.loads((state_dir / "cluster.json").read_text())
        pg_conn_str, endpoint_port = stored["pg_conn_str"], stored["endpoint_port"]
        kubelet_port, exporter_port = stored["kubelet_port"], stored["exporter_port"]
    except (OSError, ValueError, LookupError):
        return None
    processes = Processes(state_dir)
    if not postgres.is_running(state_dir / "postgresql"):
        return None
    if not all(processes.is_running(name) for name in _ORDER):
        return None
    return EmbeddedCluster(
        state_dir=state_dir,
        kubeconfig=state_dir / "kubeconfig",
        kube_context=credentials.CONTEXT,
        pg_conn_str=pg_conn_str,
        endpoint_port=endpoint_port,
        exporter_port=exporter_port,
        kubelet_port=kubelet_port,
    )


def is_embedded(kubeconfig: Path, context: str) -> bool:
    """Whether a context of a kubeconfig is that of a running embedded cluster."""
    cluster = find(kubeconfig.parent)
    return cluster is not None and (kubeconfig.resolve(), context) == (
        cluster.kubeconfig,
        cluster.kube_context,
    )


def up(state_dir: Path, *, settings: Settings, say: Say) -> EmbeddedCluster:
    """Start the cluster, or return the running one.

    Args:
        state_dir: The directory of its data, logs and records; created if it does not exist.
        settings: The settings that its GPU nodes and the GPUs' other users are made from.
        say: Receives a line for the operator.

    Returns:
        The cluster, with its API server ready and its GPU nodes usable.

    Raises:
        OpsError: when a part does not start; the started parts are stopped.
    """
    state_dir = state_dir.resolve()
    with locked(state_dir):
        cluster = find(state_dir)
        if cluster is not None:
            say(f"the embedded cluster already runs in {state_dir}")
            declare(cluster, settings)
            say(gpu_node.describe(settings))
            return cluster
        programs = control_plane.binaries(say)
        _stop(state_dir)
        _check_space(state_dir)
        try:
            with ended_by_signals():
                return _start(state_dir, programs, settings, say)
        except BaseException:
            _stop(state_dir)
            raise


def down(state_dir: Path, *, say: Say) -> bool:
    """Stop the processes of this directory's cluster; keep its data.

    Args:
        state_dir: The directory given to `up`.
        say: Receives a line for the operator.

    Returns:
        Whether anything was running.
    """
    state_dir = state_dir.resolve()
    if not state_dir.is_dir():
        return False
    with locked(state_dir):
        stopped = _stop(state_dir)
    for name in stopped:
        say(f"stopped {name}")
    return bool(stopped)


def declare(cluster: EmbeddedCluster, settings: Settings) -> None:
    """Make the GPU nodes of a running cluster, and the GPUs' other users, those of the settings.

    Raises:
        OpsError: when the API server refuses an object, or a node does not become usable.
    """
    _declare(
        AdminApi.of(cluster.kubeconfig),
        Processes(cluster.state_dir),
        settings,
        kubelet_port=cluster.kubelet_port,
    )


def _declare(
    api: AdminApi, processes: Processes, settings: Settings, *, kubelet_port: int
) -> None:
    try:
        objects.apply(api, settings, kubelet_port=kubelet_port)
    except OSError as error:
        raise OpsError(
            f"kube-apiserver does not answer ({error}); see its log "
            f"{processes.log('kube-apiserver')}"
        ) from error
    _wait(processes, "kwok", lambda: objects.nodes_are_usable(api, settings))


def _start(state_dir: Path, programs: Path, settings: Settings, say: Say) -> EmbeddedCluster:
    port = _api_server_port()
    credentials.write_service_account_keys(state_dir)
    token = secrets.token_urlsafe(24)
    write_private(state_dir / "tokens.csv", f'{token},admin,1,"system:masters"\n')
    pg_conn_str = postgres.start(state_dir / "postgresql")
    say("PostgreSQL is ready")

    processes = Processes(state_dir)

    def start(name: str, *options: str, program: str | None = None) -> None:
        processes.start(name, [str(programs / (program or name)), *options])

    etcd_port = free_ports(2, avoid=(port,))
    etcd = f"http://127.0.0.1:{etcd_port}"
    start(
        "etcd",
        f"--data-dir={state_dir / 'etcd'}",
        f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}",
        f"--listen-peer-urls=http://127.0.0.1:{etcd_port + 1}",
        # A cluster for trials may lose its last write in a power failure.
        "--unsafe-no-fsync",
        "--log-level=warn",
        program="server",
    )
    start(
        "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={state_dir / 'certs'}",
        "--service-account-issuer=https://embedded.invalid",
        f"--service-account-key-file={state_dir / 'service-account.pub'}",
        f"--service-account-signing-key-file={state_dir / 'service-account.key'}",
        "--authorization-mode=RBAC",
        f"--token-auth-file={state_dir / 'tokens.csv'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",
    )
    server = f"https://127.0.0.1:{port}"
    certificate = state_dir / "certs" / "apiserver.crt"
    kubeconfig = state_dir / "kubeconfig"

    def api_is_ready() -> bool:
        if not certificate.exists():
            return False
        credentials.write_kubeconfig(kubeconfig, server, token, certificate)
        return AdminApi.of(kubeconfig).is_ready()

    _wait(processes, "kube-apiserver", api_is_ready)
    api = AdminApi.of(kubeconfig)
    say(f"kube-apiserver is ready at {server}")
    start(
        "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={state_dir / 'service-account.key'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--pvclaimbinder-sync-period=1s",
    )
    start(
        "kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
    )
    kubelet_port = free_ports(4)
    endpoint_port, exporter_port = kubelet_port + 1, kubelet_port + 2
    start(
        "kwok",
        f"--kubeconfig={kubeconfig}",
        "--manage-all-nodes=true",
        # Without heartbeats the node counts as lost after 50 s, and its pods as not ready.
        "--node-lease-duration-seconds=40",
        "--node-ip=127.0.0.1",
        f"--node-port={kubelet_port}",
        # Else kwok listens on every interface, and forwards to pods without asking who connects.
        f"--server-address=127.0.0.1:{kubelet_port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={certificate.with_suffix('.key')}",
        f"--config={_kwok_definitions(state_dir, endpoint_port, exporter_port)}",
    )
    _declare(api, processes, settings, kubelet_port=kubelet_port)
    say(f"kube-controller-manager, kube-scheduler and kwok run; {gpu_node.describe(settings)}")
    stored = {
        "pg_conn_str": pg_conn_str,
        "endpoint_port": endpoint_port,
        "exporter_port": exporter_port,
        "kubelet_port": kubelet_port,
    }
    (state_dir / "cluster.json").write_text(json.dumps(stored))
    cluster = find(state_dir)
    if cluster is None:
        if not postgres.is_running(state_dir / "postgresql"):
            raise OpsError(
                f"PostgreSQL ended at start-up; see its log {state_dir / 'postgresql' / 'log'}"
            )
        raise _ended(processes)
    return cluster


def _stop(state_dir: Path) -> list[str]:
    processes = Processes(state_dir)
    stopped = [name for name in reversed(_ORDER) if processes.stop(name)]
    if postgres.stop(state_dir / "postgresql"):
        stopped.append("PostgreSQL")
    return stopped


def _api_server_port() -> int:
    wanted = os.environ.get(PORT_VARIABLE)
    if wanted is None:
        return free_ports()
    if not wanted.isdigit() or not 1 <= int(wanted) <= 65535:
        raise OpsError(
            f"{PORT_VARIABLE} is {wanted!r}; expected 1 to 65535. Unset it to use a free port"
        )
    reason = refusal(int(wanted))
    if reason is not None:
        raise OpsError(
            f"port {wanted} on 127.0.0.1 is not available ({reason}); set {PORT_VARIABLE} to a "
            "free port, or unset it"
        )
    return int(wanted)


def _kwok_definitions(state_dir: Path, endpoint_port: int, exporter_port: int) -> Path:
    """Write kwok's definitions, with ports of this machine as the ends of port-forwards."""
    exporter = {"address": "127.0.0.1", "port": exporter_port}
    endpoint = {"address": "127.0.0.1", "port": endpoint_port}
    forward = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterPortForward",
        "metadata": {"name": "endpoint"},
        "spec": {
            "forwards": [{"ports": [EXPORTER_PORT], "target": exporter}, {"target": endpoint}]
        },
    }
    stages = (DEFINITIONS / "kwok.yaml").read_text()
    path = state_dir / "kwok.yaml"
    path.write_text(f"{stages}---\n{yaml.safe_dump(forward)}")
    return path


def _wait(processes: Processes, name: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if not all(processes.is_running(process) for process in processes.names()):
            raise _ended(processes)
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise OpsError(
        f"{name} is not ready after {_READY_TIMEOUT_S} s ({processes.last_line(name)}); see its "
        f"log {processes.log(name)}"
    )


def _ended(processes: Processes) -> OpsError:
    names = (name for name in processes.names() if not processes.is_running(name))
    name = next(names, "etcd")
    return OpsError(
        f"{name} ended at start-up ({processes.last_line(name)}); see its log "
        f"{processes.log(name)}"
    )


def _check_space(state_dir: Path) -> None:
    """Check the free space first: on a full disk each server fails with a different error."""
    free_mib = shutil.disk_usage(state_dir).free // 2**20
    if free_mib < _NEEDED_MIB:
        raise OpsError(
            f"the state directory {state_dir} has {free_mib} MiB free; expected at least "
            f"{_NEEDED_MIB} MiB. Free some space, or pass another --state-dir"
        )
