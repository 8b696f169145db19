"""The CronJob restores abandoned windows and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from in_pod.gpu_window.__main__ import main
from in_pod.gpu_window.contract import NO_ACCESS
from in_pod.gpu_window.record import Record
from in_pod.gpu_window.restore import restore_past_deadline
from in_pod.gpu_window.window import Window
from tests.fakes.lease_server import LeaseServer


def test_a_released_window_is_restored_despite_a_clock_one_second_behind(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    window.let_go(replace(record, tenants=(), queues=()))
    server.clock -= 1  # The API server's time has whole seconds.
    assert restore_past_deadline(window, None, who="cronjob@pod") == ()
    assert server.lease is None


@pytest.mark.parametrize(
    ("left_s", "renewed_s_ago", "line"),
    [
        (60, 600, "the window of me@here is open: 60 s left"),
        (-60, 10, "the window of me@here is open: last heartbeat 10 s ago"),
    ],
)
def test_an_open_window_is_not_restored(
    server: LeaseServer,
    window: Window,
    lines: list[str],
    record: Record,
    left_s: float,
    renewed_s_ago: float,
    line: str,
) -> None:
    late = replace(record, deadline=server.clock + left_s)
    server.put(late, holder="me@here", renewed_s_ago=renewed_s_ago)
    assert restore_past_deadline(window, None, who="cronjob@pod") == ()
    assert lines == [line]
    assert server.writes == []


def test_without_a_window_nothing_is_printed(window: Window, lines: list[str]) -> None:
    assert restore_past_deadline(window, None, who="cronjob@pod") == ()
    assert lines == []


def test_outside_a_cluster_the_program_exits_with_no_access(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["--namespace", "llama-cpp"]) == NO_ACCESS
    assert "KUBERNETES_SERVICE_HOST is not set" in capsys.readouterr().out
