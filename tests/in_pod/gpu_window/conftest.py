"""A window, the API server that it asks, and what it says."""

from __future__ import annotations

import pytest

from in_pod.gpu_window.record import Record
from in_pod.gpu_window.window import Window
from tests.fakes.lease_server import QUICK, TENANT, LeaseServer


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def window(server: LeaseServer, lines: list[str]) -> Window:
    return Window(server, namespace="llama-cpp", say=lines.append, timing=QUICK)


@pytest.fixture
def record(server: LeaseServer) -> Record:
    return Record(deadline=server.clock + 60, tenants=(TENANT,), queues=("ocr",))
