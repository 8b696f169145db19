"""The status of a window: its owner, what it will restore, and who has the card."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from in_pod.gpu_window.record import Record
from in_pod.gpu_window.window import Window
from ops.commands.window.holder import process_of, this_holder
from ops.commands.window.status import status
from tests.fakes.lease_server import DECLARED, TENANT, LeaseServer

ENDPOINT = "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap"


@pytest.fixture
def server() -> LeaseServer:
    server = LeaseServer()
    server.replicas = {TENANT.workload.path: 0, ENDPOINT: 1}
    return server


@pytest.fixture
def record(server: LeaseServer) -> Record:
    return Record(deadline=server.clock + 60, tenants=(TENANT,), queues=("ocr",))


def lines_of(server: LeaseServer) -> list[str]:
    lines: list[str] = []
    status(server, DECLARED, namespace="llama-cpp", resource="nvidia.com/gpu", say=lines.append)
    assert server.writes == []
    return lines


def test_status_lists_what_the_window_will_restore(server: LeaseServer, record: Record) -> None:
    server.put(record, holder="me@elsewhere/12", renewed_s_ago=61)
    held, until, *rest = lines_of(server)
    assert held.startswith("held by me@elsewhere/12, since ")
    assert until.endswith("(1m left)")
    assert rest == [
        "last heartbeat 1m 1s ago; its owner has ended: python -m ops window --restore",
        "to restore: immich/immich-machine-learning, replicas 2, 1 ready",
        "to resume: Immich's queue ocr",
        "immich/immich-machine-learning: replicas 0, 0 ready",
        "llama-cpp/llama-swap: replicas 1, 0 ready",
    ]


def test_without_a_window_status_shows_who_wants_the_card(server: LeaseServer) -> None:
    assert lines_of(server) == [
        "no window is open",
        "immich/immich-machine-learning: replicas 0, 0 ready",
        "llama-cpp/llama-swap: replicas 1, 0 ready",
    ]


def heartbeat(server: LeaseServer, record: Record, holder: str) -> str:
    server.put(record, holder=holder, renewed_s_ago=5)
    return lines_of(server)[2]


def test_an_owner_runs_only_if_its_process_does(server: LeaseServer, record: Record) -> None:
    window = Window(server, namespace="llama-cpp", say=print)
    window.create(this_holder(), record)
    server.writes.clear()
    assert process_of(window.holder)
    assert lines_of(server)[2] == (
        f"last heartbeat 0s ago; its owner, process {os.getpid()} of this machine, runs"
    )


def test_an_owner_that_was_killed_here_has_ended(server: LeaseServer, record: Record) -> None:
    program = "from ops.commands.window.holder import this_holder as h; print(h())"
    holder = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    line = heartbeat(server, record, f"{holder}/abcd")
    assert line == "last heartbeat 5s ago; its owner has ended: python -m ops window --restore"


def test_a_later_process_of_the_same_number_is_not_the_owner(
    server: LeaseServer, record: Record
) -> None:
    holder = this_holder().replace(
        f"-{psutil.Process().create_time():.0f}", f"-{time.time() - 10**6:.0f}"
    )
    assert "its owner has ended" in heartbeat(server, record, f"{holder}/abcd")


@pytest.mark.parametrize(
    "holder",
    ["me@elsewhere/12-34/abcd", "me@here/12", "me", "x@y/1-9e99/z", f"x@y/{'9' * 5000}-1/z"],
)
def test_of_another_machine_only_the_heartbeat_is_known(
    holder: str, server: LeaseServer, record: Record
) -> None:
    assert heartbeat(server, record, holder) == "last heartbeat 5s ago"
