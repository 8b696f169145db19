"""Commands against SIGKILL: what they started ends too."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops.machine.parent import ended_with_this
from tests.conftest import ROOT
from tests.ops.machine.marked_processes import WATCHER, Mark

_WINDOW = """
import sys, time
from types import SimpleNamespace
from ops.commands.window.in_window import run_command
window = SimpleNamespace(
    record=SimpleNamespace(deadline=time.time() + 600, tenants=()),
    now=time.time,
    timing=SimpleNamespace(poll_s=0.05),
    beat=lambda patiently: None,
)
run_command(window, ["sh", "-c", "sleep 600; true"], env={}, say=print, sleep=time.sleep)
"""
_BENCH = """
import sys
from pathlib import Path
from ops.commands.bench.whole_run import in_window
program = Path(sys.argv[1]) / "python"
program.write_text("#!/bin/sh\\nexec sleep 600\\n")
program.chmod(0o755)
sys.executable = str(program)
in_window(60, [])
"""
_PORT_FORWARD = """
import os, sys, time
from pathlib import Path
from ops.cluster.environment import KubeTarget
from ops.cluster.port_forward import to_endpoint
from tests.declaration.settings import SETTINGS
program = Path(sys.argv[1]) / "kubectl"
program.write_text("#!/bin/sh\\necho Forwarding from 127.0.0.1:1\\nsleep 600; true\\n")
program.chmod(0o755)
os.environ["PATH"] = f"{sys.argv[1]}:{os.environ['PATH']}"
with to_endpoint(KubeTarget(config_path=Path("c"), context="x"), SETTINGS):
    time.sleep(600)
"""
_HUB = """
from types import SimpleNamespace
from ops.commands.hub.run import run_command
run_command(SimpleNamespace(environment=lambda: None), ["sleep", "600"])
"""
_BUILD = """
import sys
from pathlib import Path
from ops.machine.build_run import run_build
log = Path(sys.argv[1]) / "log"
run_build("it", ["sleep", "600"], log=log, progress=str, say=print, env={})
"""
_DOWNLOAD = """
import os, sys
from pathlib import Path
from ops.commands.serve.local_store import fill_from_hub
from llama_swap_config.lock.locked import LOCK_PATH
os.environ["HF_ENDPOINT"] = sys.argv[2]
folder = Path(sys.argv[1])
fill_from_hub(folder / "models", folder, lock_path=LOCK_PATH, say=print)
"""


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(_WINDOW, id="window"),
        pytest.param(_BENCH, id="bench"),
        pytest.param(_PORT_FORWARD, id="port-forward"),
        pytest.param(_HUB, id="hub"),
        pytest.param(_BUILD, id="build"),
        pytest.param(_DOWNLOAD, id="download"),
    ],
)
def test_nothing_outlives_a_killed_command(program: str, tmp_path: Path) -> None:
    mark = Mark()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = subprocess.Popen(
            [sys.executable, "-c", program, tmp_path, hub],
            cwd=ROOT,
            env={**os.environ, **mark.environment},
            stdin=subprocess.DEVNULL,
        )
        try:
            until(lambda: mark.processes(WATCHER))
            assert len(mark.processes()) >= 3
            command.kill()
            command.wait()
            until(lambda: not mark.processes())
        finally:
            command.kill()
            for process in mark.processes():
                process.kill()


def test_a_process_outlives_the_context_and_its_watcher_does_not() -> None:
    before = set(psutil.Process().children())
    process = subprocess.Popen(["sleep", "600"])
    try:
        with ended_with_this(process.pid):
            assert len(set(psutil.Process().children()) - before) == 2
        assert set(psutil.Process().children()) - before == {psutil.Process(process.pid)}
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("os.killpg(pid, signal.SIGSTOP)", id="stopped"),
        pytest.param("os.killpg(0, signal.SIGINT)", id="Ctrl-C"),
    ],
)
def test_a_process_ends_too_after(before: str) -> None:
    program = f"""
import os, signal, sys
from ops.machine.parent import ended_with_this
pid = int(sys.argv[1])
signal.signal(signal.SIGINT, lambda *_: None)
with ended_with_this(pid, group=True):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen(["sleep", "600"], process_group=0) as process:
        try:
            subprocess.run(
                [sys.executable, "-c", program, str(process.pid)],
                cwd=ROOT,
                process_group=0,
                check=False,
            )
            assert process.wait(20) == -signal.SIGTERM
        finally:
            process.kill()
