"""Processes that pose as cards: a ggml-rpc-server for each.

llama.cpp places layers, caches and buffers there as on a GPU, and logs their sizes. They exclude
what CUDA itself takes.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from ops.errors import OpsError
from ops.machine.parent import ended_with_this
from ops.machine.ports import free_ports

_TIMEOUT_S = 30
_ATTEMPTS = 5


@contextlib.contextmanager
def cards(programs: Path, count: int) -> Iterator[tuple[str, ...]]:
    """Run several, as `card`; yield their addresses. llama.cpp calls them RPC0, RPC1, ..."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(card(programs)) for _ in range(count))


@contextlib.contextmanager
def card(programs: Path) -> Iterator[str]:
    """Run it for one llama-server, whose end it does not survive; yield its address.

    Args:
        programs: The directory of ggml-rpc-server.

    Raises:
        OpsError: when it does not listen.
    """
    for _ in range(_ATTEMPTS):
        port = free_ports()
        process = subprocess.Popen(
            [str(programs / "ggml-rpc-server"), "-H", "127.0.0.1", "-p", str(port), "-d", "CPU"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with ended_with_this(process.pid):
                # Another program may have taken the port meanwhile.
                if _listens(port, process):
                    yield f"127.0.0.1:{port}"
                    return
        finally:
            process.kill()
            process.wait()
    raise OpsError(
        f"ggml-rpc-server ended {_ATTEMPTS} times before it listened, the last time on port {port}"
    )


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _owns(process, port):
            return True
        time.sleep(0.005)
    return False


def _owns(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether this very process listens there."""
    try:
        connections = psutil.Process(process.pid).net_connections(kind="tcp4")
    except psutil.Error:
        return False
    return any(
        found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in connections
    )
