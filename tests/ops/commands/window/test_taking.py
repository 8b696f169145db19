"""Opening and showing a window where another one is open."""

from __future__ import annotations

import pytest

from in_pod.gpu_window.record import Record
from in_pod.gpu_window.window import Window
from ops.commands.window import taking
from ops.commands.window.run import status
from ops.errors import OpsError
from tests.fakes.lease_server import TENANT, LeaseServer


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def record(server: LeaseServer) -> Record:
    return Record(deadline=server.clock + 60, tenants=(TENANT,), queues=("ocr",))


def test_a_second_window_names_the_first_and_the_way_out(
    server: LeaseServer, record: Record
) -> None:
    window = Window(server, namespace="llama-cpp", say=print)
    server.put(record, holder="me@here/12", renewed_s_ago=20)
    with pytest.raises(
        OpsError, match=r"^me@here/12 has the window since .* \(1m left\)"
    ) as found:
        taking.create(window, None, deadline_in_s=60)
    assert "python -m ops window --restore" in str(found.value)
    assert server.writes == []


def test_its_status_says_what_it_will_put_back(server: LeaseServer, record: Record) -> None:
    lines: list[str] = []
    status(server, namespace="llama-cpp", say=lines.append)
    server.put(record, holder="me@here/12", renewed_s_ago=61)
    status(server, namespace="llama-cpp", say=lines.append)
    assert lines[0] == "no window is open"
    assert lines[1].startswith("me@here/12, since ")
    assert lines[2].endswith("(1m left)")
    assert lines[3:] == [
        "last heartbeat 1m 1s ago: its owner is gone",
        "to be put back: immich/immich-machine-learning, replicas 2, 1 ready",
        "to be resumed: Immich's queue ocr",
    ]
    assert server.writes == []
