"""Requests are retried after 429 and 5xx for a limited time, and never after a refusal."""

from __future__ import annotations

import pytest

from in_pod.gpu_window.contract import NO_ACCESS, TRANSIENT
from in_pod.gpu_window.errors import UnansweredError, WindowError
from in_pod.gpu_window.window import Window
from tests.fakes.lease_server import LeaseServer


def test_requests_are_retried_after_429_and_5xx(
    server: LeaseServer, window: Window, lines: list[str]
) -> None:
    server.refuses = [503, 429, 500]
    assert not window.find()
    assert lines[0].startswith("the API server does not answer (503: as the test wants it)")
    assert lines[1:] == ["the API server answers again"]


def test_retries_end_after_the_limit(server: LeaseServer, window: Window) -> None:
    server.refuses = [503] * 10_000
    with pytest.raises(UnansweredError, match="the API server does not answer") as caught:
        window.find()
    assert caught.value.code == TRANSIENT


def test_a_refusal_is_not_retried(server: LeaseServer, window: Window) -> None:
    server.refuses = [403]
    with pytest.raises(WindowError, match=r"refuses GET .*/leases/gpu-window \(403: ") as caught:
        window.find()
    assert caught.value.code == NO_ACCESS
