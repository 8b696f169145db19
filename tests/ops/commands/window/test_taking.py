"""Opening a window while another window is open."""

from __future__ import annotations

import pytest

from in_pod.gpu_window.record import Record
from in_pod.gpu_window.window import Window
from ops.commands.window import taking
from ops.errors import OpsError
from tests.fakes.lease_server import DECLARED, TENANT, LeaseServer


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def record(server: LeaseServer) -> Record:
    return Record(deadline=server.clock + 60, tenants=(TENANT,), queues=("ocr",))


def test_second_window_is_refused_with_the_holder(server: LeaseServer, record: Record) -> None:
    window = Window(server, namespace="llama-cpp", say=print)
    server.put(record, holder="me@here/12", renewed_s_ago=20)
    with pytest.raises(
        OpsError, match=r"^me@here/12 has held the window since .* \(1m left\)"
    ) as refused:
        taking.create(window, None, DECLARED, deadline_in_s=60)
    assert "python -m ops window --restore" in str(refused.value)
    assert server.writes == []
