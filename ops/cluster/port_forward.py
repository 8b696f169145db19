"""Forward a local port to the endpoint in a cluster with `kubectl port-forward`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING

from ops.cluster.environment import KubeTarget, check_cluster
from ops.errors import OpsError, one_line
from ops.machine.parent import ended_with_this

if TYPE_CHECKING:
    from stacks.settings import Settings

_READY_TIMEOUT_S = 40
_POD_TIMEOUT_S = 30
_END_TIMEOUT_S = 5
_REMEDY = "pass the endpoint's address with --url"


def to_production(pool: str | None = None) -> AbstractContextManager[str]:
    """Forward a local port to production's Service in the environment's cluster.

    Args:
        pool: The pool's name (default: the first pool).
    """
    from stacks.declared import load_settings_of_pools

    settings, *_ = load_settings_of_pools(pool)
    return to_endpoint(check_cluster(), settings, pool=pool)


def to_endpoint(
    target: KubeTarget, settings: Settings, *, pool: str | None = None, remedy: str = _REMEDY
) -> AbstractContextManager[str]:
    """Forward a local port to the Service of some settings, as `to_service`."""
    return to_service(
        target,
        namespace=settings.namespace,
        service=settings.service,
        port=settings.port,
        pool=pool,
        remedy=remedy,
    )


@contextmanager
def to_service(
    target: KubeTarget,
    *,
    namespace: str,
    service: str,
    port: int,
    pool: str | None = None,
    remedy: str = _REMEDY,
) -> Iterator[str]:
    """Forward a free port of 127.0.0.1 to a Service while the context lasts.

    Args:
        target: The cluster.
        namespace: The Service's.
        service: Its name.
        port: Its port.
        pool: Its pool, which the command in an error names (default: there is only one).
        remedy: What an error tells the operator to do (default: pass --url).

    Yields:
        The address on this machine.

    Raises:
        OpsError: when kubectl is missing or cannot forward, with its last line.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise OpsError(f"kubectl is not on PATH; install it, or {remedy}")
    command = [
        kubectl,
        f"--kubeconfig={target.config_path}",
        f"--context={target.context}",
        f"--namespace={namespace}",
        "port-forward",
        "--address=127.0.0.1",
        f"--pod-running-timeout={_POD_TIMEOUT_S}s",
        f"service/{service}",
        f":{port}",
    ]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C does not end the port-forward early.
            start_new_session=True,
        )
        try:
            with ended_with_this(process.pid, group=True):
                yield _address(process, output, f"{namespace}/{service}", pool, remedy)
        finally:
            _end(process)


def _address(
    process: subprocess.Popen[bytes], output: IO[str], service: str, pool: str | None, remedy: str
) -> str:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while True:
        ended = process.poll() is not None
        output.seek(0)
        text = output.read()
        forwarding = re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", text)
        if forwarding and not ended:
            return f"http://127.0.0.1:{forwarding.group(1)}"
        if ended or time.monotonic() > deadline:
            lines = [line for line in text.splitlines() if line.strip()]
            reason = lines[-1] if lines else "no output"
            if "status=Pending" in reason:
                window = "window" if pool is None else f"window --pool {pool}"
                remedy = (
                    f"its pod waits, perhaps for the card: python -m ops {window} --for 30m -- "
                    "COMMAND borrows it"
                )
            raise OpsError(
                f"kubectl port-forward to {service} fails ({one_line(reason)}); {remedy}"
            )
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
