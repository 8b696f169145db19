"""Servers that outlive the command, and what stops with them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.errors import OpsError
from ops.machine.ports import free_ports
from ops.machine.processes import Processes

# A server that starts another one in a process group of its own, as llama-swap does.
PARENT = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen(['sleep', '60'], process_group=0);"
    "print(child.pid, flush=True);"
    "time.sleep(60)"
)


def started(processes: Processes) -> tuple[psutil.Process, psutil.Process]:
    processes.start("server", [sys.executable, "-c", PARENT])
    deadline = time.monotonic() + 10
    while not processes.last_line("server") and time.monotonic() < deadline:
        time.sleep(0.01)
    return psutil.Process(processes.pid("server")), psutil.Process(
        int(processes.last_line("server"))
    )


def test_stop_ends_the_servers_children(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    server, child = started(processes)
    assert processes.stop("server") is True
    assert not server.is_running()
    assert not child.is_running()
    assert processes.stop("server") is False


def test_stop_ends_the_children_of_a_killed_server(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    server, child = started(processes)
    server.kill()
    server.wait(10)
    assert child.is_running()
    assert processes.stop("server") is True
    assert not child.is_running()


def test_stop_spares_another_process_with_the_same_id(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        (tmp_path / "processes").mkdir()
        record = f'{{"pid": {stranger.pid}, "create_time": 1.0}}'
        (tmp_path / "processes" / "server.json").write_text(record)
        assert processes.stop("server") is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_gets_the_given_environment(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    program = "import os; print(sorted(os.environ), flush=True); import time; time.sleep(60)"
    processes.start("server", [sys.executable, "-c", program], env={"ONLY": "this"})
    try:
        deadline = time.monotonic() + 10
        while not processes.last_line("server") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "ONLY" in processes.last_line("server")
        assert "HOME" not in processes.last_line("server")
    finally:
        processes.stop("server")


def test_stop_ends_a_server_without_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, pids = os.posix_spawn, []

    def spawn_and_be_killed(*words: Any, **options: Any) -> int:
        pids.append(spawn(*words, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "posix_spawn", spawn_and_be_killed)
    processes = Processes(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        processes.start("server", ["/bin/sleep", "60"])
    server = psutil.Process(pids[0])
    assert Processes(tmp_path).stop("another") is False
    assert server.is_running()
    assert Processes(tmp_path).stop("server") is True
    assert not server.is_running()


def test_waiting_ends_with_an_answer_or_says_why_there_is_none(tmp_path: Path) -> None:
    processes, port = Processes(tmp_path), free_ports()
    url = f"http://127.0.0.1:{port}/"
    serve = ("-m", "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), str(port))
    processes.start("server", [sys.executable, *serve])
    try:
        processes.wait_for_answer("server", url, timeout_s=30)
        # An error does not count as an answer.
        with pytest.raises(OpsError, match=r"^it does not answer after 0 s; see its log .*\.log$"):
            processes.wait_for_answer("server", f"{url}no", timeout_s=0.1, shown_as="it")
    finally:
        processes.stop("server")
    processes.start("server", [sys.executable, "-c", "print('no licence')"])
    with pytest.raises(OpsError, match=r"^server ended at start-up \(no licence\); see its log "):
        processes.wait_for_answer("server", url, timeout_s=30)
