"""Opening a window while another window is open."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from in_pod.gpu_window.record import Record
from in_pod.gpu_window.window import Window
from ops.commands.window import taking
from ops.errors import OpsError
from tests.fakes.lease_server import DECLARED, QUICK, TENANT, LeaseServer

KILLED = f"me@{socket.gethostname()}/1-1/abcd"
"""A process of this machine with another process's number."""


@pytest.fixture
def server() -> LeaseServer:
    server = LeaseServer()
    server.replicas = {TENANT.workload.path: 0}
    return server


@pytest.fixture
def record(server: LeaseServer) -> Record:
    # Its API server has no pods.
    return Record(deadline=server.clock + 60, tenants=(replace(TENANT, ready=0),))


def create(
    server: LeaseServer, said: list[str], *, sleep: Callable[[float], None] = time.sleep
) -> None:
    window = Window(server, namespace="llama-cpp", say=said.append, timing=QUICK)
    taking.create(window, None, DECLARED, deadline_in_s=90, sleep=sleep)
    assert window.find()
    assert window.record == Record(deadline=server.clock + 90)


def test_second_window_is_refused_with_the_holder(server: LeaseServer, record: Record) -> None:
    server.put(record, holder="me@here/12", renewed_s_ago=20)
    with pytest.raises(
        OpsError, match=r"^me@here/12 has held the window since .* \(1m left\)"
    ) as refused:
        create(server, [])
    assert "python -m ops window --restore" in str(refused.value)
    assert server.writes == []


def test_second_window_waits_while_the_first_is_restored(server: LeaseServer) -> None:
    server.put(Record(deadline=server.clock, tenants=(TENANT,)), holder="me@here", renewed_s_ago=0)
    said: list[str] = []
    looks = iter(range(3))

    def sleep(_seconds: float) -> None:
        server.clock += 50
        server.put(Record(deadline=server.clock - 50), holder="me@here", renewed_s_ago=0)
        if next(looks, None) is None:
            server.lease = None

    create(server, said, sleep=sleep)
    assert said == ["waiting until me@here has restored what its window took"]
    assert server.replicas == {TENANT.workload.path: 0}


def test_second_window_restores_what_a_window_took_that_was_killed_on_this_machine(
    server: LeaseServer, record: Record
) -> None:
    server.put(record, holder=KILLED, renewed_s_ago=0)
    said: list[str] = []

    def sleep(_seconds: float) -> None:
        server.clock += 25

    create(server, said, sleep=sleep)
    assert said[:2] == [
        f"the last heartbeat of {KILLED} was 0s ago; waiting up to 60 s for another",
        f"restoring what the window of {KILLED} took",
    ]
    assert server.clock == 2_000_000_000 + 75
    assert server.replicas == {TENANT.workload.path: TENANT.replicas}


def test_holder_of_another_machine_by_the_same_name_is_alive(
    server: LeaseServer, record: Record
) -> None:
    server.put(record, holder=KILLED, renewed_s_ago=5)
    with pytest.raises(OpsError, match=rf"^{KILLED} is alive\. End its window there"):
        create(
            server, [], sleep=lambda _seconds: server.put(record, holder=KILLED, renewed_s_ago=0)
        )
    assert server.writes == []


def test_wait_can_be_interrupted(server: LeaseServer, record: Record) -> None:
    def sleep(_seconds: float) -> None:
        raise KeyboardInterrupt

    server.put(record, holder=KILLED, renewed_s_ago=0)
    with pytest.raises(KeyboardInterrupt):
        create(server, [], sleep=sleep)
    assert server.writes == []
