"""A way to the endpoint inside a cluster, by `kubectl port-forward`, as long as it is needed."""

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

if TYPE_CHECKING:
    from stacks.settings import Settings

_READY_TIMEOUT_S = 40
_POD_TIMEOUT_S = 30
_END_TIMEOUT_S = 5
_OTHERWISE = "pass --url where the endpoint is reached otherwise"

_WATCHED = """
exec 3<&0
"$@" 3<&- &
child=$!
{ cat <&3 >/dev/null; kill $child 2>/dev/null; } &
exec 3<&-
wait $child
"""
"""Runs a command until standard input closes, which the kernel does for us even when this process
is killed; in a session of its own, so that Ctrl-C leaves the way open to the end."""


def to_production() -> AbstractContextManager[str]:
    """Open a way to the Service of the cluster that the environment names."""
    from stacks.production import PRODUCTION

    return to_endpoint(check_cluster(), PRODUCTION)


@contextmanager
def to_endpoint(
    target: KubeTarget, settings: Settings, *, otherwise: str = _OTHERWISE
) -> Iterator[str]:
    """Forward a free port of 127.0.0.1 to the Service that settings declare, meanwhile.

    Args:
        target: The cluster.
        settings: Of which the namespace, the Service's name and its port count.
        otherwise: What to do where it fails; left out: what `smoke` can do.

    Yields:
        The address on this machine.

    Raises:
        OpsError: when kubectl is missing or cannot forward; its last line says why.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise OpsError(f"kubectl is not on PATH; install it, or {otherwise}")
    command = [
        kubectl,
        f"--kubeconfig={target.config_path}",
        f"--context={target.context}",
        f"--namespace={settings.namespace}",
        "port-forward",
        "--address=127.0.0.1",
        f"--pod-running-timeout={_POD_TIMEOUT_S}s",
        f"service/{settings.service}",
        f":{settings.port}",
    ]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            ["sh", "-c", _WATCHED, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield _address(process, output, f"{settings.namespace}/{settings.service}", otherwise)
        finally:
            _end(process)


def _address(
    process: subprocess.Popen[bytes], output: IO[str], service: str, otherwise: str
) -> str:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while True:
        ended = process.poll() is not None
        output.seek(0)
        text = output.read()
        found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", text)
        if found and not ended:
            return f"http://127.0.0.1:{found.group(1)}"
        if ended or time.monotonic() > deadline:
            lines = [line for line in text.splitlines() if line.strip()]
            reason = lines[-1] if lines else "it says nothing"
            raise OpsError(
                f"kubectl port-forward to {service} fails ({one_line(reason)}); {otherwise}"
            )
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
